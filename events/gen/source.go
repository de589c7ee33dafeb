package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// source is package events as its text tells it.
type source struct {
	pkg  *types.Package
	docs map[token.Pos]string // of a declared name: its comment
	fset *token.FileSet
}

// read parses and type-checks the package in dir. What it imports is not loaded:
// no message has a field of another package's type.
func read(dir string) (*source, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	s := &source{docs: map[token.Pos]string{}, fset: token.NewFileSet()}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(s.fset, filepath.Base(path), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		s.collect(file)
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Go files in %s", dir)
	}
	// Errors are expected: every use of an import is one.
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	s.pkg, _ = config.Check("events", s.fset, files, nil)
	return s, nil
}

type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	return nil, errors.New("not loaded: " + path)
}

// collect notes the comments of the file's types, fields and constants.
func (s *source) collect(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			if ts, ok := only(n.Specs).(*ast.TypeSpec); ok {
				s.docs[ts.Name.Pos()] = n.Doc.Text()
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				// A comment above the first value of a group is the group's.
				s.docs[name.Pos()] = n.Comment.Text()
				if n.Comment == nil {
					s.docs[name.Pos()] = n.Doc.Text()
				}
			}
		case *ast.Field:
			for _, name := range n.Names {
				s.docs[name.Pos()] = n.Doc.Text() + n.Comment.Text()
			}
		}
		return true
	})
}

func only(specs []ast.Spec) ast.Spec {
	if len(specs) == 1 {
		return specs[0]
	}
	return nil
}

// constants returns the exported constants that keep accepts, in the order of
// the source.
func (s *source) constants(keep func(*types.Const) bool) []*types.Const {
	var found []*types.Const
	for _, name := range s.pkg.Scope().Names() {
		c, ok := s.pkg.Scope().Lookup(name).(*types.Const)
		if ok && c.Exported() && c.Val().Kind() != constant.Unknown && keep(c) {
			found = append(found, c)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Pos() < found[j].Pos() })
	return found
}

// file is the name of the file that declares o.
func (s *source) file(o types.Object) string { return s.fset.Position(o.Pos()).Filename }

// named looks a type up by its name.
func (s *source) named(name string) (*types.Named, error) {
	o := s.pkg.Scope().Lookup(name)
	if o == nil {
		return nil, fmt.Errorf("no type %s", name)
	}
	n, ok := o.Type().(*types.Named)
	if !ok {
		return nil, fmt.Errorf("%s is not a type", name)
	}
	return n, nil
}
