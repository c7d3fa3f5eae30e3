"""Reads XML that may be hostile: no document type, no entities, nothing from elsewhere, and a bounded tree."""

from __future__ import annotations

from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from api.accounts.outside_statements.parsed import StatementFileError

MOST_DEPTH: Final = 40
MOST_NAME: Final = 40
"""Characters of the name of an element in a sentence."""
MOST_ELEMENTS: Final = 500_000
"""Elements of a file. 5,000 lines of a statement with everything in them have half as many."""


class Node(Element):
    """An element with the line where it begins, and its name without the namespace."""

    line: int = 0

    @property
    def name(self) -> str:
        """Its local name: versions of a standard differ in the namespace."""
        return self.tag.rpartition("}")[2]

    def children(self, name: str) -> list[Node]:
        """Its children with this local name."""
        return [child for child in self if isinstance(child, Node) and child.name == name]

    def node(self, *paths: str) -> Node | None:
        """The element at the first of these paths of local names that has one, or None."""
        for path in paths:
            found: Node | None = self
            for name in path.split("/"):
                found = None if found is None else next(iter(found.children(name)), None)
            if found is not None:
                return found
        return None

    def first(self, *paths: str) -> str | None:
        """The text at the first of these paths that has one."""
        for path in paths:
            found = self.node(path)
            if found is not None and found.text is not None and found.text.strip():
                return found.text.strip()
        return None

    @property
    def where(self) -> str:
        """Where it is, for sentences."""
        return f"line {self.line}: {self.name[:MOST_NAME]}"


class _BoundedTree(TreeBuilder):
    """Builds the tree with the line of each element. Raises `StatementFileError` beyond the bounds."""

    def __init__(self) -> None:
        super().__init__(element_factory=Node)
        self.parser: Any = None
        self._depth = 0
        self._elements = 0

    def start(self, tag: Any, attrs: Any, /) -> Any:
        self._depth += 1
        self._elements += 1
        line = self.parser.CurrentLineNumber
        if self._depth > MOST_DEPTH:
            raise StatementFileError(f"line {line}: elements are nested deeper than {MOST_DEPTH}")
        if self._elements > MOST_ELEMENTS:
            raise StatementFileError(f"line {line}: the file has more than {MOST_ELEMENTS:,} elements")
        node: Any = super().start(tag, attrs)
        node.line = line
        return node

    def end(self, tag: Any, /) -> Any:
        self._depth -= 1
        return super().end(tag)


def xml_tree(file: str | bytes) -> Node:
    """The root of a file. Raises `StatementFileError` for what is no whole XML, and for what could be an attack."""
    tree = _BoundedTree()
    content, encoding = (file.encode(), "utf-8") if isinstance(file, str) else (file, None)
    parser = DefusedXMLParser(target=tree, encoding=encoding, forbid_dtd=True)
    tree.parser = parser.parser
    try:
        parser.feed(content)
        root = parser.close()
    except ParseError as error:
        line, _ = error.position
        why = str(error).partition(":")[0]
        raise StatementFileError(f"line {line}: the file is no XML, or is cut: {why}") from None
    except DefusedXmlException:
        line = parser.parser.CurrentLineNumber
        raise StatementFileError(
            f"line {line}: the file declares a document type or an entity; a statement needs none, and it is not read"
        ) from None
    except (ValueError, LookupError) as error:
        if isinstance(error, StatementFileError):
            raise
        raise StatementFileError(f"line 1: the encoding of the file is not known: {error}") from None
    assert isinstance(root, Node), "the factory makes nodes"
    return root
