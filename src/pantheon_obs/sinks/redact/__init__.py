"""Redaction: secrets are removed from log lines and Sentry events, by one list.

The way of a value, whose code is `redactor`:

1. `open` opens it by one level, as pairs, a list or a scalar, and `plain` makes scalars such that
   JSON and UTF-8 can express them. `bounds` limits how much of a large value is read.
2. The value under a key is judged by the key. `keys` finds the rule for the key, or the name of a
   secret stands `beside` it: `{"name": "DB_PASSWORD", "value": …}`.
3. The rule, one of `rules`, decides whether the value is a secret.
4. `innocent` excuses a value that says nothing, such as the state `expired`. Any other is replaced.
5. Items of a list are also read as arguments of `commands`, as headers and as pairs.
6. A text that is not replaced goes the way of a text; the key of a mapping does so, too.

The way of a text, whose code is `texts`:

1. The middle of very long runs, such as base64, is left out, and `spelling` makes quotes and signs
   usual.
2. The patterns of `signs` find the places at which a secret may be recognised. A text with too many
   of them is cut.
3. At a sign of a name, `named` finds the name before it and the rule for it, as above, from `keys`
   or `beside`. `commands` does so for options. `values` finds the value, and decides by the rule
   and `innocent`.
4. At another sign, a shape of `providers` is matched.
5. `formats` and `sql` look for secrets without such a sign: in prose, files and statements.
6. All of them report `spans`, which are replaced at once.

So the reason why a value was redacted, or was not, is found in this order: the rule of its name in
`keys`; its exception in `innocent`; the shape in `providers`; the format in `formats` or `sql`. In
a text, `signs` must have found the place first.
"""
