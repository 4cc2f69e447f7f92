"""Which receivers (webhooks, e-mail subscriptions) want which notifications, as SQL."""

from services.notifier.domain import Severity

SEVERITIES = [severity.value for severity in Severity]
_WANTED = """
    ({receiver}.everything OR {told}.audience = 'everyone'
     OR ({told}.audience = 'user' AND {receiver}.user_id = {told}.user_id))
    AND {receiver}.disabled_at IS NULL
    AND {receiver}.min_severity < array_position({severities}::text[], {told}.severity)
    AND ({receiver}.kinds = '{{}}' OR {told}.kind = ANY({receiver}.kinds))
    AND ({receiver}.types = '{{}}' OR {told}.type = ANY({receiver}.types))
"""


def wanted(receiver: str, told: str, severities: str) -> str:
    """A condition on a table of receivers and one of notifications; ``severities``: the parameter of ``SEVERITIES``.

    ``array_position`` counts from 1, a rank from 0: hence ``min_severity <``.
    """
    return _WANTED.format(receiver=receiver, told=told, severities=severities)
