// Reads a tree, notes and proofs that Daybook made and verifies them, and makes some of its own, with the modules of the
// Go checksum database. Input and output are JSON: see test_go.py.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type inclusion struct {
	Index, Size int64
	Leaf        []byte // its hash
	Root        []byte
	Proof       [][]byte
}

type consistency struct {
	Old, New         int64
	OldRoot, NewRoot []byte
	Proof            [][]byte
}

type tree struct {
	Verifier    string            // of whoever made the note
	Note        string            // a signed checkpoint
	Tiles       map[string][]byte // by their paths
	Inclusion   []inclusion
	Consistency []consistency
}

type request struct {
	Theirs tree     // to be verified
	Signer string   // of the note that is made
	Origin string   //
	Leaves [][]byte // of the tree that is made
}

func hash(bytes []byte) tlog.Hash {
	var h tlog.Hash
	if len(bytes) != tlog.HashSize {
		fail(fmt.Errorf("a hash has %d bytes", len(bytes)))
	}
	copy(h[:], bytes)
	return h
}

func hashes(list [][]byte) []tlog.Hash {
	made := []tlog.Hash{}
	for _, bytes := range list {
		made = append(made, hash(bytes))
	}
	return made
}

func bytes(list []tlog.Hash) [][]byte {
	made := [][]byte{}
	for _, h := range list {
		made = append(made, append([]byte{}, h[:]...))
	}
	return made
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// path is the path of a tile in C2SP tlog-tiles, which leaves the height out.
func path(t tlog.Tile) string {
	return strings.Replace(t.Path(), "tile/8/", "tile/", 1)
}

type tiles map[string][]byte

func (tiles) Height() int                     { return height }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (stored tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	read := [][]byte{}
	for _, t := range wanted {
		data, found := stored[path(t)]
		if !found {
			return nil, fmt.Errorf("there is no %s", path(t))
		}
		read = append(read, data)
	}
	return read, nil
}

func parse(text string) tlog.Tree {
	lines := strings.SplitN(text, "\n", 4)
	parsed, err := tlog.ParseTree([]byte("go.sum database tree\n" + lines[1] + "\n" + lines[2] + "\n"))
	fail(err)
	return parsed
}

func verify(theirs tree) tlog.Tree {
	verifier, err := note.NewVerifier(theirs.Verifier)
	fail(err)
	opened, err := note.Open([]byte(theirs.Note), note.VerifierList(verifier))
	fail(err)
	head := parse(opened.Text)
	reader := tlog.TileHashReader(head, tiles(theirs.Tiles))
	for _, one := range theirs.Inclusion {
		fail(tlog.CheckRecord(hashes(one.Proof), one.Size, hash(one.Root), one.Index, hash(one.Leaf)))
		made, err := tlog.ProveRecord(one.Size, one.Index, reader) // authenticates the tiles by the checkpoint
		fail(err)
		if fmt.Sprint(made) != fmt.Sprint(tlog.RecordProof(hashes(one.Proof))) {
			fail(fmt.Errorf("another proof of leaf %d in %d", one.Index, one.Size))
		}
	}
	for _, one := range theirs.Consistency {
		fail(tlog.CheckTree(hashes(one.Proof), one.New, hash(one.NewRoot), one.Old, hash(one.OldRoot)))
		made, err := tlog.ProveTree(one.New, one.Old, reader)
		fail(err)
		if fmt.Sprint(made) != fmt.Sprint(tlog.TreeProof(hashes(one.Proof))) {
			fail(fmt.Errorf("another proof from %d to %d", one.Old, one.New))
		}
	}
	return head
}

func make_(asked request) tree {
	stored := []tlog.Hash{}
	reader := tlog.HashReaderFunc(func(wanted []int64) ([]tlog.Hash, error) {
		read := []tlog.Hash{}
		for _, index := range wanted {
			read = append(read, stored[index])
		}
		return read, nil
	})
	for index, leaf := range asked.Leaves {
		more, err := tlog.StoredHashes(int64(index), leaf, reader)
		fail(err)
		stored = append(stored, more...)
	}
	size := int64(len(asked.Leaves))
	root := func(n int64) tlog.Hash {
		made, err := tlog.TreeHash(n, reader)
		fail(err)
		return made
	}
	signer, err := note.NewSigner(asked.Signer)
	fail(err)
	text := fmt.Sprintf("%s\n%d\n%s\n", asked.Origin, size, root(size))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	fail(err)
	ours := tree{Note: string(signed), Tiles: tiles{}}
	for _, t := range tlog.NewTiles(height, 0, size) {
		data, err := tlog.ReadTileData(t, reader)
		fail(err)
		ours.Tiles[path(t)] = data
	}
	for _, n := range []int64{1, 2, 255, 256, 257, size / 2, size} {
		top := root(n)
		for _, index := range []int64{0, n / 2, n - 1} {
			proof, err := tlog.ProveRecord(n, index, reader)
			fail(err)
			leaf := tlog.RecordHash(asked.Leaves[index])
			ours.Inclusion = append(ours.Inclusion, inclusion{index, n, leaf[:], top[:], bytes(proof)})
		}
		last := root(size)
		proof, err := tlog.ProveTree(size, n, reader)
		fail(err)
		ours.Consistency = append(ours.Consistency, consistency{n, size, top[:], last[:], bytes(proof)})
	}
	return ours
}

func main() {
	var asked request
	fail(json.NewDecoder(os.Stdin).Decode(&asked))
	head := verify(asked.Theirs)
	fail(json.NewEncoder(os.Stdout).Encode(map[string]any{"Size": head.N, "Root": head.Hash[:], "Ours": make_(asked)}))
}
