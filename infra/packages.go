package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// functionNames are the functions of the stack; secretsMaker is the one that
// CloudFormation calls at deployment.
var functionNames = []string{"authorize", "participant", "node", "fleet", "rooms"}

const secretsMaker = "secrets"

// Packages say where what is deployed was built.
type Packages struct {
	Lambda string // a folder for each function, with its bootstrap
	Node   string // the node's program
}

// folder is what a function's package is made of.
func (p Packages) folder(function string) string { return filepath.Join(p.Lambda, function) }

// check returns a sentence about the first package that is missing.
func (p Packages) check() error {
	for _, name := range append([]string{secretsMaker}, functionNames...) {
		if _, err := os.Stat(filepath.Join(p.folder(name), "bootstrap")); err != nil {
			return fmt.Errorf("the function %s is not built: run make package", name)
		}
	}
	if _, err := os.Stat(p.Node); err != nil {
		return fmt.Errorf("the node is not built: run make package")
	}
	return nil
}

// program is a file that an instance fetches and verifies before it runs it.
type program struct{ path, sha256 string }

func readProgram(path string) (program, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return program{}, fmt.Errorf("read the node's program: %w", err)
	}
	sum := sha256.Sum256(data)
	return program{path, hex.EncodeToString(sum[:])}, nil
}
