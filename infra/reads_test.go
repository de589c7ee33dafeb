package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unset are the variables that functions read and no deployment sets, with why.
var unset = map[string]string{
	"SPILLWAY_NODE_SEATS": "makes nodes small, for trying things out on one machine",
	"SPILLWAY_BOOT_TIME":  "is estimated until launches have been seen, and they are remembered",
}

func TestFunctionsAreToldWhatTheyRead(t *testing.T) {
	variable := regexp.MustCompile(`"(SPILLWAY_[A-Z_0-9]+)"`)
	told := map[string]bool{}
	for _, f := range built["full"].of("AWS::Lambda::Function") {
		for name := range f.Properties["Environment"].(map[string]any)["Variables"].(map[string]any) {
			told[name] = true
		}
	}
	files, err := filepath.Glob("../functions/wire/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
			if !told[m[1]] && unset[m[1]] == "" {
				t.Errorf("%s is read in %s and no deployment sets it", m[1], f)
			}
		}
	}
}

// TestMetricsReadWhatIsLogged looks for the names that metrics' patterns read in
// what logs them.
func TestMetricsReadWhatIsLogged(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"../functions/*/*.go", "../shared/control/*.go", "../shared/step/*.go", "../shared/cloud/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(f, "_test.go") {
				source.Write(text)
			}
		}
	}
	quoted := regexp.MustCompile(`\$\.(?:inputs\.)?(\w+)|"([\w ]{3,})"`)
	for _, m := range metrics {
		for _, found := range quoted.FindAllStringSubmatch(m.pattern+m.value, -1) {
			name := found[1] + found[2]
			// These are the logger's own.
			if !slices.Contains([]string{"msg", "level", "ERROR"}, name) && !strings.Contains(source.String(), `"`+name+`"`) {
				t.Errorf("%s reads %q, which nothing logs", m.name, name)
			}
		}
	}
}
