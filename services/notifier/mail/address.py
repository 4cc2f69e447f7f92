"""What counts as an e-mail address."""

MAX_ADDRESS = 254
"""RFC 3696, erratum 1690."""
ADDRESS = (
    r"^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
)
"""A pattern for fields: HTML's valid e-mail address (WHATWG), its dots as RFC 5321 has them. No spaces, quotes
or line breaks, so that no address can add a header or a recipient."""
