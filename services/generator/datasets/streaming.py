"""The `stream` data set: a film and series service, from membership to plays, payments and ratings.

Plays follow people: a few titles take most of the views, series are watched in order and dropped somewhere, and
members leave, some of them after a failed payment.
"""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.generator.datasets.sampling import Calendar, maybe, moment, weighted, zipf

DDL = [
    """CREATE TABLE members (
        member_id INTEGER PRIMARY KEY, joined_on DATE NOT NULL, country VARCHAR NOT NULL, age_group VARCHAR,
        marketing_opt_in BOOLEAN NOT NULL, invited_by INTEGER REFERENCES members (member_id))""",
    """CREATE TABLE titles (
        title_id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE, kind VARCHAR NOT NULL, genre VARCHAR NOT NULL,
        maturity_rating VARCHAR, released_on DATE NOT NULL)""",
    """CREATE TABLE episodes (
        episode_id INTEGER PRIMARY KEY, title_id INTEGER NOT NULL REFERENCES titles (title_id),
        season INTEGER NOT NULL, episode_number INTEGER NOT NULL, runtime_minutes INTEGER NOT NULL,
        UNIQUE (title_id, season, episode_number))""",
    """CREATE TABLE subscriptions (
        subscription_id INTEGER PRIMARY KEY, member_id INTEGER NOT NULL REFERENCES members (member_id),
        plan VARCHAR NOT NULL, monthly_fee DECIMAL(8, 2) NOT NULL, started_on DATE NOT NULL, ended_on DATE)""",
    """CREATE TABLE payments (
        payment_id INTEGER PRIMARY KEY, subscription_id INTEGER NOT NULL REFERENCES subscriptions (subscription_id),
        paid_at TIMESTAMP NOT NULL, amount DECIMAL(8, 2) NOT NULL, status VARCHAR NOT NULL, method VARCHAR)""",
    """CREATE TABLE plays (
        play_id BIGINT PRIMARY KEY, member_id INTEGER NOT NULL REFERENCES members (member_id),
        episode_id INTEGER NOT NULL REFERENCES episodes (episode_id), started_at TIMESTAMP NOT NULL,
        watched_minutes INTEGER, device VARCHAR NOT NULL, completed BOOLEAN NOT NULL)""",
    """CREATE TABLE ratings (
        member_id INTEGER NOT NULL REFERENCES members (member_id),
        title_id INTEGER NOT NULL REFERENCES titles (title_id), stars INTEGER NOT NULL, rated_at TIMESTAMP NOT NULL,
        PRIMARY KEY (member_id, title_id))""",
]

Row = dict[str, Any]

_FEES = {"basic": Decimal("5.90"), "standard": Decimal("9.90"), "premium": Decimal("13.90")}
_PLANS = weighted({"basic": 46, "standard": 36, "premium": 18})
_COUNTRIES = weighted({"KR": 55, "JP": 14, "US": 12, "TH": 8, "ID": 7, "BR": 4})
_AGES = weighted({"13-19": 10, "20-29": 31, "30-39": 28, "40-49": 18, "50+": 13})
_DEVICES = weighted({"tv": 38, "phone": 36, "web": 16, "tablet": 10})
_METHODS = weighted({"card": 68, "carrier": 17, "wallet": 15})
_GENRES = weighted({"drama": 30, "comedy": 20, "thriller": 16, "documentary": 12, "animation": 12, "romance": 10})
_RATINGS = weighted({"ALL": 20, "12+": 32, "15+": 33, "19+": 15})
_FIRST = (
    "Silent",
    "Midnight",
    "Paper",
    "Golden",
    "Hidden",
    "Second",
    "Winter",
    "Electric",
    "Broken",
    "Lucky",
    "Distant",
    "Velvet",
)
_SECOND = (
    "Harbor",
    "Garden",
    "Signal",
    "Letters",
    "Kitchen",
    "Orbit",
    "Bridge",
    "Season",
    "Market",
    "Tides",
    "Mirror",
    "Station",
    "Summer",
    "Line",
)


def tables(rng: random.Random, rows: int) -> dict[str, list[Row]]:
    """About `rows` rows over all tables (within 5 %), in the order in which foreign keys allow loading."""
    calendar = Calendar(date(2026, 1, 5), max(42, min(365, int(rows**0.5))))
    titles = _titles(rng, max(14, min(160, rows // 70)), calendar)
    episodes = _episodes(rng, titles)
    members = _members(rng, max(36, rows // 18), calendar)
    subscriptions = _subscriptions(rng, members, calendar)
    payments = _payments(rng, subscriptions, calendar)
    spent = sum(map(len, (titles, episodes, members, subscriptions, payments)))
    ratings_share = max(10, int((rows - spent) * 0.12))
    plays = _plays(rng, members, titles, episodes, calendar, max(60, rows - spent - ratings_share))
    ratings = _ratings(rng, plays, episodes, ratings_share)
    return {
        "members": members,
        "titles": titles,
        "episodes": episodes,
        "subscriptions": subscriptions,
        "payments": payments,
        "plays": plays,
        "ratings": ratings,
    }


def _titles(rng: random.Random, count: int, calendar: Calendar) -> list[Row]:
    names = [f"{first} {second}" for first in _FIRST for second in _SECOND]
    rng.shuffle(names)
    return [
        {
            "title_id": i + 1,
            "name": names[i],
            "kind": "series" if rng.random() < 0.55 else "movie",
            "genre": _GENRES.draw(rng),
            "maturity_rating": maybe(rng, _RATINGS.draw(rng), 0.1),
            "released_on": calendar.first - timedelta(days=int(rng.expovariate(1 / 500))),
        }
        for i in range(count)
    ]


def _episodes(rng: random.Random, titles: list[Row]) -> list[Row]:
    episodes: list[Row] = []
    for title in titles:
        film = title["kind"] == "movie"
        usual = rng.randrange(84, 150) if film else rng.choice((24, 32, 48, 60))
        for season in range(1, 2 if film else rng.choice((2, 2, 3))):
            for number in range(1, 2 if film else rng.randrange(4, 9)):
                episodes.append(
                    {
                        "episode_id": len(episodes) + 1,
                        "title_id": title["title_id"],
                        "season": season,
                        "episode_number": number,
                        "runtime_minutes": usual + (0 if film else rng.randrange(-3, 4)),
                    }
                )
    return episodes


def _members(rng: random.Random, count: int, calendar: Calendar) -> list[Row]:
    daily = calendar.daily(growth=0.3)
    joined = sorted(
        daily.draw(rng) if rng.random() > 0.45 else calendar.first - timedelta(days=rng.randrange(1, 150))
        for _ in range(count)
    )
    return [
        {
            "member_id": i + 1,
            "joined_on": day,
            "country": _COUNTRIES.draw(rng),
            "age_group": maybe(rng, _AGES.draw(rng), 0.14),
            "marketing_opt_in": rng.random() < 0.4,
            "invited_by": rng.randrange(i) + 1 if i and rng.random() < 0.2 else None,
        }
        for i, day in enumerate(joined)
    ]


def _subscriptions(rng: random.Random, members: list[Row], calendar: Calendar) -> list[Row]:
    rows: list[Row] = []
    for member in members:
        if rng.random() < 0.12:  # joined, never paid
            continue
        start: date = member["joined_on"] + timedelta(days=rng.choice((0, 0, 0, 7, 14)))
        while start <= calendar.last:
            stay = int(rng.expovariate(1 / 110)) + 14
            end = start + timedelta(days=stay)
            plan = _PLANS.draw(rng)
            open_ended = end > calendar.last
            rows.append(
                {
                    "member_id": member["member_id"],
                    "plan": plan,
                    "monthly_fee": _FEES[plan],
                    "started_on": start,
                    "ended_on": None if open_ended else end,
                }
            )
            if open_ended or rng.random() < 0.55:
                break
            start = end + timedelta(days=rng.randrange(1, 50))
    rows.sort(key=lambda r: (r["started_on"], r["member_id"]))
    return [{"subscription_id": i, **row} for i, row in enumerate(rows, 1)]


def _payments(rng: random.Random, subscriptions: list[Row], calendar: Calendar) -> list[Row]:
    rows: list[Row] = []
    for subscription in subscriptions:
        method = _METHODS.draw(rng)
        due: date = subscription["started_on"]
        until: date = subscription["ended_on"] or calendar.last
        while due <= until:
            if due >= calendar.first - timedelta(days=60):
                rows.extend(_attempts(rng, subscription, due, method))
            due += timedelta(days=30)
    rows.sort(key=lambda r: (r["paid_at"], r["subscription_id"]))
    return [{"payment_id": i, **row} for i, row in enumerate(rows, 1)]


def _attempts(rng: random.Random, subscription: Row, due: date, method: str) -> list[Row]:
    """One charge; a failed one is tried again the next day."""
    roll = rng.random()
    outcomes = ["failed", "paid"] if roll < 0.07 else ["refunded"] if roll < 0.1 else ["paid"]
    return [
        {
            "subscription_id": subscription["subscription_id"],
            "paid_at": moment(rng, due + timedelta(days=i)),
            "amount": subscription["monthly_fee"],
            "status": outcome,
            "method": maybe(rng, method, 0.05),
        }
        for i, outcome in enumerate(outcomes)
    ]


def _plays(
    rng: random.Random, members: list[Row], titles: list[Row], episodes: list[Row], calendar: Calendar, count: int
) -> list[Row]:
    by_title: dict[int, list[Row]] = {}
    for episode in episodes:
        by_title.setdefault(episode["title_id"], []).append(episode)
    viewer = zipf(rng.sample(members, k=max(1, int(len(members) * 0.88))), 0.7)
    favourite, daily = zipf([t["title_id"] for t in titles[: max(1, int(len(titles) * 0.93))]], 0.95), calendar.daily()
    progress: dict[tuple[int, int], int] = {}
    rows: list[Row] = []
    while len(rows) < count:
        member, title = viewer.draw(rng), favourite.draw(rng)
        day = max(daily.draw(rng), member["joined_on"])
        at = moment(rng, day)
        device = _DEVICES.draw(rng)
        for _ in range(1 + int(rng.expovariate(0.8))):  # a sitting: the next episodes of one title
            position = progress.get((member["member_id"], title), 0)
            episode = by_title[title][position % len(by_title[title])]
            row = _play(rng, member["member_id"], episode, at, device)
            rows.append(row)
            if rng.random() < 0.012:  # the player reports the same start twice
                rows.append(dict(row))
            if not row["completed"]:
                break
            progress[member["member_id"], title] = position + 1
            at += timedelta(minutes=episode["runtime_minutes"], seconds=rng.randrange(10, 300))
    rows.sort(key=lambda r: (r["started_at"], r["member_id"], r["episode_id"]))
    return [{"play_id": i, **row} for i, row in enumerate(rows, 1)]


def _play(rng: random.Random, member_id: int, episode: Row, at: datetime, device: str) -> Row:
    completed = rng.random() < 0.58
    runtime: int = episode["runtime_minutes"]
    watched = runtime if completed else rng.randrange(0, max(2, int(runtime * 0.9)))
    return {
        "member_id": member_id,
        "episode_id": episode["episode_id"],
        "started_at": at,
        "watched_minutes": maybe(rng, watched, 0.03),
        "device": device,
        "completed": completed,
    }


def _ratings(rng: random.Random, plays: list[Row], episodes: list[Row], limit: int) -> list[Row]:
    title_of = {e["episode_id"]: e["title_id"] for e in episodes}
    last: dict[tuple[int, int], datetime] = {}
    for play in plays:
        last[play["member_id"], title_of[play["episode_id"]]] = play["started_at"]
    chosen = rng.sample(sorted(last), k=min(limit, max(1, len(last) * 2 // 3)))
    rows = [
        {
            "member_id": member,
            "title_id": title,
            "stars": rng.choice((1, 2, 3, 3, 4, 4, 4, 5, 5, 5)),
            "rated_at": last[member, title] + timedelta(minutes=rng.randrange(30, 3_000)),
        }
        for member, title in chosen
    ]
    rows.sort(key=lambda r: (r["rated_at"], r["member_id"], r["title_id"]))
    return rows
