// Opens a checkpoint that Daybook's witness cosigned, and cosigns it too, with the module of the witnesses of
// transparency.dev. Input and output are JSON: see test_witness_in_go.py.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

type request struct {
	Log     string // public key of the log
	Witness string // public key of our witness, as one of type 01
	Note    string // the checkpoint with both signatures
	Signer  string // private key of their witness, as one of type 01
}

type answer struct {
	Time int64  // of our cosignature, in seconds since 1970
	Note string // the checkpoint with the cosignature of their witness
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var asked request
	fail(json.NewDecoder(os.Stdin).Decode(&asked))
	log, err := note.NewVerifier(asked.Log)
	fail(err)
	witness, err := cosignature.NewVerifierForCosignatureV1(asked.Witness)
	fail(err)
	opened, err := note.Open([]byte(asked.Note), note.VerifierList(log, witness))
	fail(err)
	if len(opened.Sigs) != 2 {
		fail(fmt.Errorf("%d known keys have signed, not 2", len(opened.Sigs)))
	}
	at, err := cosignature.CoSigV1Timestamp(opened.Sigs[1])
	fail(err)
	signer, err := cosignature.NewSignerForCosignatureV1(asked.Signer)
	fail(err)
	signed, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	fail(err)
	fail(json.NewEncoder(os.Stdout).Encode(answer{at.Unix(), string(signed)}))
}
