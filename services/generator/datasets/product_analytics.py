"""The `pa` data set: a shop's product analytics, from sign-up to purchase.

One visit is simulated at a time, so that tables agree with each other: sessions hold the events of a funnel that
loses people at every step, purchases become orders with their items, some events arrive late and a few twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.generator.datasets.sampling import Calendar, Skewed, maybe, moment, weighted, zipf

DDL = [
    """CREATE TABLE users (
        user_id INTEGER PRIMARY KEY, signed_up_at TIMESTAMP NOT NULL, channel VARCHAR NOT NULL, country VARCHAR,
        birth_year INTEGER, referrer_id INTEGER REFERENCES users (user_id))""",
    """CREATE TABLE products (
        product_id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, category VARCHAR NOT NULL,
        price DECIMAL(10, 2) NOT NULL, launched_on DATE)""",
    """CREATE TABLE sessions (
        session_id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (user_id), device VARCHAR NOT NULL,
        os VARCHAR, started_at TIMESTAMP NOT NULL, ended_at TIMESTAMP)""",
    """CREATE TABLE events (
        event_id BIGINT PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (session_id),
        user_id INTEGER REFERENCES users (user_id), event_type VARCHAR NOT NULL,
        product_id INTEGER REFERENCES products (product_id), occurred_at TIMESTAMP NOT NULL,
        received_at TIMESTAMP NOT NULL)""",
    """CREATE TABLE orders (
        order_id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (user_id),
        ordered_at TIMESTAMP NOT NULL, status VARCHAR NOT NULL, coupon_code VARCHAR,
        shipping_fee DECIMAL(8, 2) NOT NULL)""",
    """CREATE TABLE order_items (
        order_id INTEGER NOT NULL REFERENCES orders (order_id),
        product_id INTEGER NOT NULL REFERENCES products (product_id), quantity INTEGER NOT NULL,
        unit_price DECIMAL(10, 2) NOT NULL, PRIMARY KEY (order_id, product_id))""",
]

_CHANNELS = weighted({"organic": 40, "search_ad": 24, "social": 18, "referral": 12, "email": 6})
_COUNTRIES = weighted({"KR": 52, "JP": 16, "US": 14, "VN": 8, "TW": 6, "SG": 4})
_DEVICES = weighted({"mobile": 64, "desktop": 29, "tablet": 7})
_SYSTEMS = {
    "mobile": weighted({"android": 58, "ios": 42}),
    "desktop": weighted({"windows": 66, "macos": 28, "linux": 6}),
    "tablet": weighted({"ios": 60, "android": 40}),
}
_STATUSES = weighted({"delivered": 70, "shipped": 12, "cancelled": 9, "refunded": 6, "pending": 3})
_COUPONS = weighted({"WELCOME10": 5, "SPRING5": 3, "VIP15": 1, "FREESHIP": 2})
_CATALOGUE = {
    "kitchen": ("Kettle", "Skillet", "Knife Set", "Mug", "Grinder", "Toaster"),
    "outdoor": ("Tent", "Lantern", "Backpack", "Camp Chair", "Cooler", "Hammock"),
    "office": ("Desk Lamp", "Notebook", "Monitor Arm", "Pen Case", "Footrest", "Planner"),
    "beauty": ("Hand Cream", "Sun Stick", "Toner", "Lip Balm", "Hair Oil", "Face Mask"),
    "toys": ("Puzzle", "Robot Kit", "Plush Bear", "Board Game", "Kite", "Train Set"),
}
_FINISHES = ("Basic", "Plus", "Mini", "Max", "Eco", "Pro")
# Chance to go on to the next step of a visit.
_GO_ON = {"product_view": 0.78, "add_to_cart": 0.42, "checkout": 0.58, "purchase": 0.66}


@dataclass
class _Visit:
    """Rows of one visit before ids are given out in order of time."""

    session: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    basket: list[int] = field(default_factory=list)
    ordered_at: datetime | None = None

    @property
    def size(self) -> int:
        return 1 + len(self.events) + (1 + len(set(self.basket)) if self.ordered_at else 0)


def tables(rng: random.Random, rows: int) -> dict[str, list[dict[str, Any]]]:
    """About `rows` rows over all tables (within 2 %), in the order in which foreign keys allow loading."""
    calendar = Calendar(date(2026, 1, 5), max(35, min(365, int(rows**0.5))))
    products = _products(rng, max(12, min(180, rows // 60)), calendar)
    users = _users(rng, max(40, rows // 14), calendar)
    budget = rows - len(products) - len(users)
    visits: list[_Visit] = []
    for visit in _visits(rng, users, products, calendar):
        visits.append(visit)
        budget -= visit.size
        if budget <= 0:
            break
    visits.sort(key=lambda v: v.session["started_at"])
    return {"users": users, "products": products, **_flatten(rng, visits, products)}


def _products(rng: random.Random, count: int, calendar: Calendar) -> list[dict[str, Any]]:
    names = [
        (category, f"{noun} {finish}")
        for finish in _FINISHES
        for category in _CATALOGUE
        for noun in _CATALOGUE[category]
    ]
    rng.shuffle(names)
    return [
        {
            "product_id": 101 + i,
            "name": name,
            "category": category,
            "price": Decimal(max(4, min(400, round(rng.lognormvariate(3.2, 0.7))))) - Decimal("0.10"),
            "launched_on": maybe(rng, calendar.first - timedelta(days=rng.randrange(20, 700)), 0.12),
        }
        for i, (category, name) in enumerate(names[:count])
    ]


def _users(rng: random.Random, count: int, calendar: Calendar) -> list[dict[str, Any]]:
    daily = calendar.daily()
    # A third had signed up before the window opens, so that cohorts and "never came back" both occur.
    joined = sorted(
        moment(rng, daily.draw(rng) if rng.random() > 0.33 else calendar.first - timedelta(days=rng.randrange(1, 60)))
        for _ in range(count)
    )
    users = []
    for i, signed_up_at in enumerate(joined):
        channel = _CHANNELS.draw(rng)
        referred = channel == "referral" and i > 0
        users.append(
            {
                "user_id": i + 1,
                "signed_up_at": signed_up_at,
                "channel": channel,
                "country": maybe(rng, _COUNTRIES.draw(rng), 0.06),
                "birth_year": maybe(rng, int(rng.triangular(1958, 2010, 1994)), 0.22),
                "referrer_id": rng.randrange(i) + 1 if referred else None,
            }
        )
    return users


def _visits(
    rng: random.Random, users: list[dict[str, Any]], products: list[dict[str, Any]], calendar: Calendar
) -> Iterator[_Visit]:
    # The order of loyalty is not the order of ids; 15 % of the people never visit.
    loyal = rng.sample(users, k=max(1, int(len(users) * 0.85)))
    person, item, daily = zipf(loyal, 0.75), zipf([p["product_id"] for p in products], 0.9), calendar.daily()
    habit: dict[int, date] = {}
    while True:
        user = None if rng.random() < 0.09 else person.draw(rng)
        day = daily.draw(rng)
        if user is not None:
            day = _returning_day(rng, user, day, habit, calendar)
        yield _visit(rng, user, moment(rng, day), item)


def _returning_day(
    rng: random.Random, user: dict[str, Any], day: date, habit: dict[int, date], calendar: Calendar
) -> date:
    """People come back the day after a visit more often than on any other day, and never before they signed up."""
    last = habit.get(user["user_id"])
    if last is not None and rng.random() < 0.45:
        day = last + timedelta(days=1)
    day = min(max(day, user["signed_up_at"].date() + timedelta(days=1)), calendar.last + timedelta(days=1))
    habit[user["user_id"]] = day
    return day


def _visit(rng: random.Random, user: dict[str, Any] | None, start: datetime, item: Skewed[int]) -> _Visit:
    device = _DEVICES.draw(rng)
    visit = _Visit(
        {
            "user_id": user["user_id"] if user else None,
            "device": device,
            "os": maybe(rng, _SYSTEMS[device].draw(rng), 0.04),
            "started_at": start,
        }
    )
    clock = _walk(rng, visit, start, item)
    visit.session["ended_at"] = maybe(rng, clock + timedelta(seconds=rng.randrange(5, 400)), 0.08)
    return visit


def _walk(rng: random.Random, visit: _Visit, clock: datetime, item: Skewed[int]) -> datetime:
    """One pass through the funnel; returns the moment of the last event."""

    def log(kind: str, product: int | None = None) -> None:
        nonlocal clock
        clock += timedelta(seconds=int(rng.expovariate(1 / 75)) + 1)
        visit.events.append(_event(rng, visit.session["user_id"], kind, product, clock))

    log("page_view")
    if rng.random() < 0.3:
        log("search")
    if rng.random() >= _GO_ON["product_view"]:
        return clock
    viewed = [item.draw(rng) for _ in range(1 + int(rng.expovariate(0.9)))]
    for product in viewed:
        log("product_view", product)
        if rng.random() < _GO_ON["add_to_cart"]:
            log("add_to_cart", product)
            visit.basket.append(product)
    # Only people with an account can pay.
    if not visit.basket or visit.session["user_id"] is None or rng.random() >= _GO_ON["checkout"]:
        return clock
    log("checkout")
    if rng.random() < _GO_ON["purchase"]:
        log("purchase")
        visit.ordered_at = clock
    return clock


def _event(rng: random.Random, user_id: int | None, kind: str, product: int | None, at: datetime) -> dict[str, Any]:
    late = rng.random() < 0.04
    delay = rng.randrange(3_600, 172_800) if late else rng.randrange(0, 4)
    return {
        "user_id": user_id,
        "event_type": kind,
        "product_id": product,
        "occurred_at": at,
        "received_at": at + timedelta(seconds=delay),
    }


def _flatten(
    rng: random.Random, visits: list[_Visit], products: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    price = {p["product_id"]: p["price"] for p in products}
    sessions: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    orders: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for session_id, visit in enumerate(visits, 1):
        sessions.append({"session_id": session_id, **visit.session})
        for event in visit.events:
            events.append({"session_id": session_id, **event})
            if rng.random() < 0.015:  # at-least-once delivery: the same event again under a new id
                again = event["received_at"] + timedelta(seconds=rng.randrange(1, 30))
                events.append({"session_id": session_id, **event, "received_at": again})
        if visit.ordered_at is not None:
            orders.append(_order(rng, len(orders) + 1, visit))
            items.extend(_items(rng, len(orders), visit, price))
    events.sort(key=lambda e: e["received_at"])
    numbered = [{"event_id": i, **event} for i, event in enumerate(events, 1)]
    return {"sessions": sessions, "events": numbered, "orders": orders, "order_items": items}


def _order(rng: random.Random, order_id: int, visit: _Visit) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "user_id": visit.session["user_id"],
        "ordered_at": visit.ordered_at,
        "status": _STATUSES.draw(rng),
        "coupon_code": maybe(rng, _COUPONS.draw(rng), 0.7),
        "shipping_fee": Decimal(rng.choice(("0.00", "2.50", "2.50", "4.00"))),
    }


def _items(rng: random.Random, order_id: int, visit: _Visit, price: dict[int, Decimal]) -> Iterator[dict[str, Any]]:
    for product in sorted(set(visit.basket)):
        discounted = (price[product] * Decimal("0.9")).quantize(Decimal("0.01"))
        yield {
            "order_id": order_id,
            "product_id": product,
            "quantity": visit.basket.count(product) + (1 if rng.random() < 0.2 else 0),
            "unit_price": discounted if rng.random() < 0.15 else price[product],
        }
