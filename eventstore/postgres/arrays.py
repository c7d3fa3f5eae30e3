"""Array parameters for PostgreSQL, encoded in binary.

psycopg adapts a list element by element in Python. For the few thousand short values of one append that takes as long
as the append. These functions build the binary array format of PostgreSQL in one pass. The result is a `bytes` of a
class that psycopg sends unchanged.

Format (src/backend/utils/adt/arrayfuncs.c, array_recv): int32 dimensions, int32 has-nulls, int32 element type, then a
dimension's int32 length and lower bound, then each element as int32 length (-1: NULL) and bytes. Big-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack
from typing import Any, ClassVar, cast

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)


class _Lengths(dict[int, bytes]):
    """Encoded lengths. A look-up takes a third of the time of packing."""

    def __missing__(self, length: int) -> bytes:
        return _LENGTH.pack(length)


_length = _Lengths((length, _LENGTH.pack(length)) for length in range(1_024)).__getitem__


class BinaryArray(bytes):
    """An encoded array. The subclass says of which type."""

    array_oid: ClassVar[int]
    element_oid: ClassVar[int]


class TextArray(BinaryArray):
    array_oid, element_oid = 1009, 25


class ByteaArray(BinaryArray):
    array_oid, element_oid = 1001, 17


class Int2Array(BinaryArray):
    array_oid, element_oid = 1005, 21


class Int4Array(BinaryArray):
    array_oid, element_oid = 1007, 23


class Int8Array(BinaryArray):
    array_oid, element_oid = 1016, 20


class BoolArray(BinaryArray):
    array_oid, element_oid = 1000, 16


def text_array(values: Sequence[str | None]) -> TextArray:
    """text[]; None is NULL. The strings must have no U+0000 (PostgreSQL refuses it)."""
    if None in values:
        return TextArray(_variable(TextArray, [None if v is None else v.encode() for v in values]))
    return TextArray(_variable(TextArray, list(map(str.encode, cast(Sequence[str], values)))))


def bytea_array(values: Sequence[bytes | None]) -> ByteaArray:
    """bytea[]; None is NULL."""
    return ByteaArray(_variable(ByteaArray, values))


def int2_array(values: Sequence[int]) -> Int2Array:
    """smallint[]"""
    return Int2Array(_fixed(Int2Array, "h", 2, values))


def int4_array(values: Sequence[int]) -> Int4Array:
    """integer[]"""
    return Int4Array(_fixed(Int4Array, "i", 4, values))


def int8_array(values: Sequence[int]) -> Int8Array:
    """bigint[]"""
    return Int8Array(_fixed(Int8Array, "q", 8, values))


def bool_array(values: Sequence[bool]) -> BoolArray:
    """boolean[]"""
    return BoolArray(_fixed(BoolArray, "?", 1, values))


def _header(kind: type[BinaryArray], count: int, nulls: bool) -> bytes:
    if count == 0:
        return pack(">iii", 0, 0, kind.element_oid)
    return pack(">iiiii", 1, nulls, kind.element_oid, count, 1)


def _variable(kind: type[BinaryArray], values: Sequence[bytes | None]) -> bytes:
    nulls = None in values
    if nulls:
        elements = [_NULL if value is None else _length(len(value)) + value for value in values]
        return b"".join([_header(kind, len(values), nulls), *elements])
    present = cast(Sequence[bytes], values)
    parts: list[bytes] = [b""] * (1 + 2 * len(values))  # filled column by column: no loop in Python
    parts[0] = _header(kind, len(values), nulls)
    parts[1::2] = map(_length, map(len, present))
    parts[2::2] = present
    return b"".join(parts)


def _fixed(kind: type[BinaryArray], code: str, size: int, values: Sequence[Any]) -> bytes:
    interleaved = [size] * (2 * len(values))
    interleaved[1::2] = values
    return _header(kind, len(values), False) + pack(f">{('i' + code) * len(values)}", *interleaved)


def _dumper(kind: type[BinaryArray]) -> type[Dumper]:
    class BinaryArrayDumper(Dumper):
        format = pq.Format.BINARY
        oid = kind.array_oid

        def dump(self, obj: bytes) -> Buffer:
            return obj

    return BinaryArrayDumper


for _kind in (TextArray, ByteaArray, Int2Array, Int4Array, Int8Array, BoolArray):
    # For every connection. Only parameters of these classes are affected.
    psycopg.adapters.register_dumper(_kind, _dumper(_kind))
