"""The list of channels. To add one, implement `Channel` and name the class here."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from etf_rotation.notification.channel import Channel
from etf_rotation.notification.mail import Email
from etf_rotation.notification.robots import DingTalk, Feishu, WeCom

CHANNELS = (DingTalk, WeCom, Feishu, Email)
NAMES = tuple(name for channel in CHANNELS for name in channel.SETTINGS)


def take_settings(environment: MutableMapping[str, str]) -> dict[str, str]:
    """Remove the settings from the environment, so that later code cannot leak them."""
    return {name: environment.pop(name, "").strip() for name in NAMES}


def configured(settings: Mapping[str, str]) -> tuple[list[Channel], list[str]]:
    """Return the channels for these settings, and a line per fault of the settings."""
    found: list[Channel] = []
    lines: list[str] = []
    for kind in CHANNELS:
        channel, faults = kind.configured(settings)
        found += [channel] if channel is not None else []
        lines += faults
    if not found:
        names = "DINGTALK_WEBHOOK, WECOM_WEBHOOK, FEISHU_WEBHOOK or SMTP_SERVER, …"
        lines.append(f"No notification is configured ({names}).")
    return found, lines
