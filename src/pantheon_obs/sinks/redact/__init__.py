"""Redaction: secrets are removed from log lines and Sentry events, by one list.

`redactor` copies a value as plain data (`open`, `plain`). A value under the name of a secret is
replaced: `keys` finds the rule for a name, one of `rules` judges the value, and `innocent` excuses
values that say nothing. Some values have their name `beside` them, others are arguments of
`commands`.

Every other text is searched by `texts`, which reports `spans` and replaces them all at once.
`spelling` makes the quotes and signs usual. Two patterns of `signs` find the characters at which a
secret may be recognised. At the sign behind a name, `named` judges the name, and `values` finds the
value; at the sign of a provider's key, its shape in `providers` is matched. `formats` and `sql`
look for secrets without such a sign. `bounds` limits how much of a large value is searched.
"""
