"""Schemas that the generator's authors never looked at while writing recipes, and awkward ones."""

from services.kernel.sql.schema import Schema

LIBRARY = Schema.from_ddl(
    [
        "CREATE TABLE branch (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, city VARCHAR NOT NULL, opened_on DATE)",
        """CREATE TABLE book (isbn VARCHAR PRIMARY KEY, title VARCHAR NOT NULL, genre VARCHAR, year INTEGER,
           price DOUBLE)""",
        """CREATE TABLE reader (reader_id INTEGER PRIMARY KEY, joined_on DATE NOT NULL,
           level VARCHAR NOT NULL CHECK (level IN ('child', 'adult', 'senior')),
           recommended_by INTEGER REFERENCES reader (reader_id))""",
        """CREATE TABLE loan (loan_id INTEGER PRIMARY KEY, isbn VARCHAR NOT NULL REFERENCES book (isbn),
           branch_id INTEGER NOT NULL REFERENCES branch (id), reader_id INTEGER NOT NULL REFERENCES reader (reader_id),
           borrowed_at TIMESTAMP NOT NULL, returned_at TIMESTAMP, fine DECIMAL(6, 2) NOT NULL, CHECK (fine >= 0))""",
    ]
)

FLEET = Schema.from_ddl(
    [
        """CREATE TABLE drivers (driver_id BIGINT PRIMARY KEY, hired_on DATE NOT NULL, licence VARCHAR UNIQUE,
           rating DOUBLE)""",
        "CREATE TABLE vehicles (plate VARCHAR PRIMARY KEY, fuel VARCHAR NOT NULL, seats TINYINT NOT NULL)",
        """CREATE TABLE trips (driver_id BIGINT NOT NULL REFERENCES drivers (driver_id),
           started_at TIMESTAMP NOT NULL, ended_at TIMESTAMP, plate VARCHAR REFERENCES vehicles (plate),
           distance_km DECIMAL(7, 1) NOT NULL, cancelled BOOLEAN NOT NULL, PRIMARY KEY (driver_id, started_at))""",
    ]
)

CLINIC_KO = Schema.from_ddl(
    [
        """CREATE TABLE "환자" ("환자번호" INTEGER PRIMARY KEY, "성별" VARCHAR NOT NULL, "등록일" DATE NOT NULL,
           "지역" VARCHAR)""",
        """CREATE TABLE "진료 기록" ("번호" INTEGER PRIMARY KEY, "환자번호" INTEGER NOT NULL
           REFERENCES "환자" ("환자번호"), "진료일시" TIMESTAMP NOT NULL, "부서" VARCHAR NOT NULL,
           "금액" DECIMAL(10, 0))""",
    ]
)

RESERVED = Schema.from_ddl(
    [
        """CREATE TABLE "order" ("select" INTEGER PRIMARY KEY, "group" VARCHAR NOT NULL, "limit" INTEGER, "from" DATE,
           "two words" VARCHAR, "say ""hi" DECIMAL(6, 2), "as" BOOLEAN)""",
    ]
)

NO_KEYS = Schema.from_ddl(
    ["CREATE TABLE log_lines (ts TIMESTAMP, host VARCHAR, level VARCHAR, user_id INTEGER, latency_ms INTEGER)"]
)

_TYPES = ("INTEGER", "VARCHAR", "DECIMAL(10, 2)", "TIMESTAMP", "BOOLEAN")
WIDE = Schema.from_ddl(
    [f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {', '.join(f'c{i} {_TYPES[i % 5]}' for i in range(999))})"]
)
