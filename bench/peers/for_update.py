"""A straightforward ledger with FastAPI and SQLAlchemy: `python -m bench.peers.for_update`.

Balances are a column. A transfer locks the rows of its two accounts with `SELECT … FOR UPDATE` in the order of their
ids. A retry with the same key gets the existing transaction as its answer. The ledger keeps no history and checks no
tokens, so it does less work than Daybook.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, create_engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

POOL = 40
"""Number of connections: one for each thread in which FastAPI runs `def` routes, so that no thread waits."""


class Base(DeclarativeBase):
    """The base class of all tables."""


class Account(Base):
    """An account with its balance and its minimum, in minor units."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str]
    minimum: Mapped[int] = mapped_column(BigInteger, default=0)
    balance: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (CheckConstraint("balance >= minimum"),)


class Transaction(Base):
    """A transfer that was carried out, with the key of its request."""

    __tablename__ = "transactions"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    target: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Entry(Base):
    """One side of a transaction. An amount that leaves an account is negative."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    transaction_id: Mapped[int] = mapped_column(ForeignKey("transactions.id"), index=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    balance_after: Mapped[int] = mapped_column(BigInteger)


class TransferBody(BaseModel):
    """The body of a transfer."""

    source: str
    target: str
    amount: Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=2)]
    currency: str


class TransferAnswer(BaseModel):
    """The answer to a transfer: the id of its transaction."""

    transaction: int


def sqlalchemy_url(url: str) -> str:
    """The URL with the name of the driver, as SQLAlchemy needs it."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


router = APIRouter()


def _session(request: Request) -> Iterator[Session]:
    with request.app.state.sessions() as session:
        yield session


InSession = Annotated[Session, Depends(_session)]


@router.post("/transfers", status_code=201)
def transfer(
    body: TransferBody,
    idempotency_key: Annotated[str, Header()],
    response: Response,
    session: InSession,
) -> TransferAnswer:
    """Transfer money, once for each key."""
    if body.source == body.target:
        raise HTTPException(422, "source and target are the same account")
    amount = int(body.amount * 100)
    # Lock first. An insert that refers to an account takes a shared lock on it, and two transfers could deadlock here.
    locked = session.scalars(
        select(Account).where(Account.id.in_((body.source, body.target))).order_by(Account.id).with_for_update()
    )
    accounts = {account.id: account for account in locked}
    if len(accounts) < 2:
        raise HTTPException(404, "there is no such account")
    source, target = accounts[body.source], accounts[body.target]
    done = Transaction(idempotency_key=idempotency_key, source=source.id, target=target.id, amount=amount)
    session.add(done)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        response.status_code = 200
        return _again(session, idempotency_key, body, amount)
    if not source.currency == target.currency == body.currency:
        raise HTTPException(422, "the currencies differ")
    if source.balance - amount < source.minimum:
        raise HTTPException(422, "the source has not enough")
    source.balance -= amount
    target.balance += amount
    session.add_all(
        [
            Entry(transaction_id=done.id, account_id=source.id, amount=-amount, balance_after=source.balance),
            Entry(transaction_id=done.id, account_id=target.id, amount=amount, balance_after=target.balance),
        ]
    )
    answer = TransferAnswer(transaction=done.id)
    session.commit()
    return answer


@router.get("/accounts/{id}")
def balance(id: str, session: InSession) -> dict[str, int]:
    """The balance of an account."""
    account = session.get(Account, id)
    if account is None:
        raise HTTPException(404, "there is no such account")
    return {"balance": account.balance}


def _again(session: Session, key: str, body: TransferBody, amount: int) -> TransferAnswer:
    """The answer to a request with a used key. Raises `HTTPException` 409 if the first request was another transfer."""
    found = session.scalars(select(Transaction).where(Transaction.idempotency_key == key)).one()
    if (found.source, found.target, found.amount) != (body.source, body.target, amount):
        raise HTTPException(409, "the key was used for another transfer")
    return TransferAnswer(transaction=found.id)


def create_app(url: str) -> FastAPI:
    """The ledger on a database that has the tables."""
    app = FastAPI()
    app.state.sessions = sessionmaker(create_engine(sqlalchemy_url(url), pool_size=POOL, max_overflow=0))
    app.include_router(router)
    return app


def application() -> FastAPI:
    """The ledger on the database that `DATABASE_URL` names."""
    return create_app(os.environ["DATABASE_URL"])


if __name__ == "__main__":
    uvicorn.run(
        "bench.peers.for_update:application",
        factory=True,
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
