package main

import (
	"os"
	"testing"
)

func TestTheCommittedTypesAreFresh(t *testing.T) {
	want, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../sdk/src/events.ts"
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Errorf("%s is not what package events says; run: make types", path)
	}
}
