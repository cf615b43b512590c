package outcrop_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/outcrop/outcrop"

// floors is the map of the house: a package imports only packages on lower
// floors, and two packages on one floor do not know each other.
var floors = map[string]int{
	"": 0,

	"socket": 1, "jsonscan": 1, "eventstream": 1, "sse": 1, "sigv4": 1, "awschunked": 1,
	"step": 1, "fair": 1, "tokens": 1, "schema": 1, "shape": 1, "jsonbody": 1, "lifecycle": 1, "bucket": 1, "estimate": 1, "price": 1,
	"backlog": 1,

	"h1": 2, "h1server": 2, "bedrock": 2, "openai": 2, "anthropic": 2, "native": 2,
	"identity": 2, "catalog": 2, "config": 2, "ledger": 2, "calibration": 2,
	"records": 2,

	"upstream": 3, "sim": 3, "route": 3, "meter": 3, "store": 3, "probe": 3, "capacity": 3,
	"quota": 3, "explain": 3, "measure": 3, "s3store": 3, "objects": 3,
	"batch": 3,

	"runtimeapi": 4, "controlapi": 4, "metricsapi": 4, "simapi": 4, "watchapi": 4, "s3api": 4,

	"gateway": 5,

	"cmd/outcrop": 6,
}

// testOnly holds the folders that no package of the house may import: test
// suites, fakes, benchmarks and simulations. They may import anything.
var testOnly = []string{"outcroptest", "conformance", "bench", "simulation"}

func TestPackagesOnlyLookDown(t *testing.T) {
	for pkg, imports := range projectImports(t) {
		if isTestOnly(pkg) {
			continue
		}
		floor, listed := floors[pkg]
		if !listed {
			t.Errorf("package %q stands on no floor: add it to the map", pkg)
			continue
		}
		for _, imported := range imports {
			if below, ok := floors[imported]; !ok || below >= floor {
				t.Errorf("%q (floor %d) imports %q (floor %d)", pkg, floor, imported, below)
			}
		}
	}
}

func TestDictionaryImportsOnlyTheStandardLibrary(t *testing.T) {
	out := goList(t, "-f", `{{join .Imports "\n"}}`, ".")
	for _, path := range strings.Fields(out) {
		if strings.Contains(path, ".") {
			t.Errorf("the root package imports %s", path)
		}
	}
}

func isTestOnly(pkg string) bool {
	for _, folder := range testOnly {
		if pkg == folder || strings.HasPrefix(pkg, folder+"/") {
			return true
		}
	}
	return false
}

// projectImports maps each package of the module to those it imports, both
// without the module's path.
func projectImports(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")) {
		fields := strings.Fields(line)
		pkg := within(fields[0])
		all[pkg] = []string{}
		for _, path := range fields[1:] {
			if path == module || strings.HasPrefix(path, module+"/") {
				all[pkg] = append(all[pkg], within(path))
			}
		}
	}
	return all
}

func within(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

func goList(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return string(out)
}
