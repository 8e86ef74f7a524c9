"""The families' SQL without dbt is the SQL that dbt compiles."""

from etf_rotation.signals import families


def test_a_family_rendered_without_dbt_is_what_dbt_compiled(sample):
    compiled = sample.folder / "target" / "compiled" / "etf_rotation" / "models"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in compiled.rglob("*.sql")}

    def refer(text):
        """Put the models in where dbt names their relations, as the queries have them."""
        for name in ("int_bars", "int_bands"):
            relation = f'"etf_rotation"."factors"."{name}"'
            if relation in text:
                text = text.replace(relation, f"({refer(texts[name])})")
        for name in families.TABLES:
            text = text.replace(f'"etf_rotation"."staging"."{name}"', f"staging.{name}")
        return text

    queries = dict(families.queries())
    built = {name for name in texts if name.startswith("factors_")}
    assert set(queries) == {families.BARS, *built} and len(built) == 12
    for name, query in queries.items():
        assert query.split() == refer(texts[name]).split(), name
