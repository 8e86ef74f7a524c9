"""Reconcile the live account with the orders, the broker and the model."""
