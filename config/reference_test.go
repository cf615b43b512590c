package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/outcrop/outcrop/config"
)

const referencePath = "../docs/configuration.md"

func TestTheReferenceAndTheSchemaAreUpToDate(t *testing.T) {
	docs := comments(t)
	sameFile(t, referencePath, reference(t, docs))
	sameFile(t, "schema.json", schemaOf(t, docs))
}

func sameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(have)); diff != "" {
		t.Errorf("%s is stale; run go test ./config -update\n%s", path, diff)
	}
}

// comments returns the comments of all fields and types of the package's
// structs, by "Type.Field" and "Type".
func comments(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, path := range []string{"config.go", "capacity.go", "s3.go", "batch.go", "price.go", "secret.go", "scalar.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if decl, ok := n.(*ast.GenDecl); ok && len(decl.Specs) == 1 {
				if spec, ok := decl.Specs[0].(*ast.TypeSpec); ok {
					docs[spec.Name.Name] = oneLine(decl.Doc.Text())
				}
			}
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if group, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range group.Fields.List {
					for _, name := range f.Names {
						docs[spec.Name.Name+"."+name.Name] = oneLine(f.Doc.Text())
					}
				}
			}
			return true
		})
	}
	return docs
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// keys calls visit for each key of a struct type, and fails the test if the
// key lacks its comment or the version that it came with.
func keys(t *testing.T, docs map[string]string, of reflect.Type, visit func(f reflect.StructField, key, doc string)) {
	t.Helper()
	for i := range of.NumField() {
		f := of.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		doc := docs[of.Name()+"."+f.Name]
		if doc == "" {
			t.Errorf("%s.%s has no comment", of.Name(), f.Name)
		}
		if f.Tag.Get("since") == "" && of != reflect.TypeFor[config.Secret]() {
			t.Errorf("%s.%s does not say since when", of.Name(), f.Name)
		}
		visit(f, key, doc)
	}
}

func isGroup(of reflect.Type) bool {
	return of.Kind() == reflect.Struct && of != reflect.TypeFor[config.Secret]() && of != reflect.TypeFor[config.HeaderValue]()
}

const introduction = `# Configuration

<!-- Written by the test of package config from the comments of its structs: go test ./config -update -->

Outcrop reads one YAML file. Without one it serves its built-in models from the simulated engine.
` + "`outcrop init`" + ` writes a file for the engines that it finds on this machine; ` + "`outcrop check-config`" + ` tells every
mistake of a file at once, with its line; ` + "`outcrop check-config --print-effective`" + ` shows each value and where it came from.

The smallest useful file:

` + "```yaml" + `
models:
  - id: meta.llama3-1-8b-instruct-v1:0
    engines:
      - url: http://127.0.0.1:11434
        model: llama3.1:8b
keys: open                          # refused unless listen is loopback
` + "```" + `

A larger one:

` + "```yaml" + `
# yaml-language-server: $schema=./schema.json   (outcrop check-config --schema > schema.json)
listen: :8484
region: eu-central-1
keys: required                      # make one with: outcrop keys add
limits: { connections: 2k, drain_timeout: 60s }
models:
  - id: meta.llama3-1-70b-instruct-v1:0
    engines:                        # replicas: a call goes to either
      - { url: "http://vllm-0:8000", model: llama-70b, max_concurrency: 256 }
      - { url: "http://vllm-1:8000", model: llama-70b, max_concurrency: 256 }
  - id: anthropic.claude-sonnet-4-5-20250929-v1:0
    engines:
      - { kind: anthropic, model: claude-sonnet-4-5, key: { env: ANTHROPIC_API_KEY } }
  - id: amazon.nova-lite-v1:0
    engines:
      - { kind: bedrock, region: us-west-2, access_key: { env: AWS_ACCESS_KEY_ID }, secret_key: { env: AWS_SECRET_ACCESS_KEY } }
  - id: acme.support-v1:0           # a model of your own
    name: Support
    context: 32k
    max_output: 4k
    input: [text, image]
    engines:
      - { kind: sim, speed: 10, replies: [{ match: "(?i)refund", text: "Certainly." }] }
` + "```" + `

- **Values.** Durations carry a unit (` + "`250ms`, `20s`, `5m`, `1h`" + `), sizes too (` + "`25MB`, `512MiB`" + `); numbers may end in ` + "`k`, `M` or `G`" + `;
  shares are ` + "`30%` or `0.3`" + `. Paths in the file are relative to the file.
- **Secrets** never stand in the file. Write ` + "`{ file: /run/secrets/key }` or `{ env: NAME }`" + `. A literal secret is an error, and no output shows one.
- **Environment.** ` + "`OUTCROP_LISTEN`" + ` sets ` + "`listen`, `OUTCROP_LOG__LEVEL`" + ` sets ` + "`log.level`" + `: two underscores stand for the dot. Single values
  outside of lists can be set so. A flag beats the environment, that beats the file, and that beats the default.
- **YAML.** Anchors and aliases work; merge keys, tags and several documents do not. There are no includes and no templates.
- **Reload.** On SIGHUP the file is read again, and all of it is applied or nothing: a mistake, or a change to a key that needs a
  restart, leaves everything as it was.

`

func reference(t *testing.T, docs map[string]string) []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	section(t, &b, docs, reflect.TypeFor[config.Config](), "", false)
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

func section(t *testing.T, b *bytes.Buffer, docs map[string]string, of reflect.Type, path string, restart bool) {
	title, intro := "`"+path+"`", docs[of.Name()]
	if path == "" {
		title, intro = "Top level", "The keys of the file."
	}
	fmt.Fprintf(b, "## %s\n\n%s\n\n| Key | Value | Default | Reload | Since | Meaning |\n|---|---|---|---|---|---|\n", title, intro)
	type inner struct {
		of      reflect.Type
		path    string
		restart bool
	}
	var inners []inner
	keys(t, docs, of, func(f reflect.StructField, key, doc string) {
		restarts := restart || f.Tag.Get("reload") == "restart"
		below := inner{f.Type, strings.TrimPrefix(path+"."+key, "."), restarts}
		if f.Type.Kind() == reflect.Slice {
			below.of, below.path = f.Type.Elem(), below.path+"[]"
		}
		if isGroup(below.of) {
			inners = append(inners, below)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", key, valueText(f), defaultText(f), yesNo(!restarts), f.Tag.Get("since"), cell(meaning(f, doc)))
	})
	b.WriteString("\n")
	for _, in := range inners {
		if repeated := in.path == "models[].engines[].replies[]" || in.path == "models[].engines[].faults[]"; !repeated {
			section(t, b, docs, in.of, in.path, in.restart)
		}
	}
}

func meaning(f reflect.StructField, doc string) string {
	if kinds := f.Tag.Get("for"); kinds != "" {
		doc += " *Kinds: " + strings.ReplaceAll(kinds, " ", ", ") + ".*"
	}
	switch low, high := f.Tag.Get("min"), f.Tag.Get("max"); {
	case low != "" && high != "":
		doc += " From " + low + " to " + high + "."
	case high != "":
		doc += " At most " + high + "."
	}
	return doc
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

func yesNo(b bool) string { return map[bool]string{true: "yes", false: "restart"}[b] }

func defaultText(f reflect.StructField) string {
	switch def, has := f.Tag.Lookup("default"); {
	case f.Tag.Get("need") == "yes":
		return "**required**"
	case has:
		return "`" + def + "`"
	}
	return ""
}

func valueText(f reflect.StructField) string {
	if enum := f.Tag.Get("enum"); enum != "" {
		words := "`" + strings.ReplaceAll(enum, "|", "`, `") + "`"
		if f.Type.Kind() == reflect.Slice {
			return "list of " + words
		}
		return words
	}
	switch f.Type.String() {
	case "time.Duration":
		return "duration"
	case "config.Size":
		return "size"
	case "config.Percent":
		return "share"
	case "config.Dollars":
		return "dollars"
	case "config.Secret":
		return "secret"
	case "map[string]config.HeaderValue":
		return "names with text or secrets"
	case "string":
		return "text"
	case "bool":
		return "`true`, `false`"
	}
	switch f.Type.Kind() {
	case reflect.Slice:
		return "list"
	case reflect.Struct:
		return "keys"
	}
	return "number"
}

// schemaOf returns the JSON schema of the file.
func schemaOf(t *testing.T, docs map[string]string) []byte {
	root := schemaGroup(t, docs, reflect.TypeFor[config.Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Outcrop configuration"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func schemaGroup(t *testing.T, docs map[string]string, of reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	keys(t, docs, of, func(f reflect.StructField, key, doc string) {
		p := schemaValue(t, docs, f.Type, f)
		p["description"] = doc
		if def, has := f.Tag.Lookup("default"); has {
			p["default"] = literal(f.Type, def)
		}
		properties[key] = p
		if f.Tag.Get("need") == "yes" {
			required = append(required, key)
		}
	})
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func literal(of reflect.Type, def string) any {
	if of.Kind() == reflect.Bool {
		return def == "true"
	}
	return def
}

var secretSchema = map[string]any{
	"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
	"properties": map[string]any{"file": map[string]any{"type": "string"}, "env": map[string]any{"type": "string"}},
}

func schemaValue(t *testing.T, docs map[string]string, of reflect.Type, f reflect.StructField) map[string]any {
	if enum := f.Tag.Get("enum"); enum != "" && of.Kind() == reflect.String {
		return map[string]any{"enum": strings.Split(enum, "|")}
	}
	number := func(pattern string) map[string]any {
		return map[string]any{"type": []string{"string", "number"}, "pattern": pattern}
	}
	switch of.String() {
	case "time.Duration":
		return map[string]any{"type": []string{"string", "integer"}, "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`}
	case "config.Size":
		return number(`^[0-9.]+ *([kKMGT]B|[KMGT]iB|B)?$`)
	case "config.Percent":
		return number(`^[0-9.]+%?$`)
	case "config.Dollars":
		return number(`^\$?[0-9.]+$`)
	case "config.Secret":
		return clone(secretSchema)
	case "map[string]config.HeaderValue":
		text := map[string]any{"type": []string{"string", "number", "boolean"}}
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"anyOf": []any{text, secretSchema}}}
	}
	switch of.Kind() {
	case reflect.Struct:
		return schemaGroup(t, docs, of)
	case reflect.Slice:
		s := map[string]any{"type": "array", "items": schemaValue(t, docs, of.Elem(), f)}
		if f.Tag.Get("need") == "yes" {
			s["minItems"] = 1
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return number(`^[0-9.]+[kMG]?$`)
	case reflect.Float64:
		return number(`^[0-9.]+$`)
	}
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

func clone(m map[string]any) map[string]any {
	c := map[string]any{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

// validator returns a function that checks YAML against the schema.
func validator(t *testing.T) func(content string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(content string) error {
		var v any
		if err := yaml.Unmarshal([]byte(content), &v); err != nil {
			return err
		}
		if v == nil {
			v = map[string]any{}
		}
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		v, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// What Load takes, the schema takes: an editor never marks a good file.
func TestTheSchemaTakesWhatLoadTakes(t *testing.T) {
	valid := validator(t)
	paths, err := filepath.Glob("testdata/effective/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(string(archive.Files[0].Data)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What is wrong with a single key or value, the schema refuses too.
func TestTheSchemaRefusesWrongKeysAndValues(t *testing.T) {
	valid := validator(t)
	for _, name := range []string{
		"several", "misspelt_key", "misspelt_root_key", "key_from_elsewhere", "key_in_wrong_place", "no_value", "wrong_kind_of_value",
		"list_without_dash", "no_mapping", "no_engines", "unknown_kind", "literal_secret", "units", "enums", "booleans", "odd_keys",
	} {
		archive, err := txtar.ParseFile(filepath.Join("testdata/problems", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(string(archive.Files[0].Data)); err == nil {
			t.Errorf("the schema takes %s", name)
		}
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestTheExamplesOfTheReferenceLoad(t *testing.T) {
	content, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	valid, blocks := validator(t), yamlBlock.FindAllSubmatch(content, -1)
	if len(blocks) < 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, block := range blocks {
		example := string(block[1])
		files := map[string]string{"outcrop.yaml": example, "env": "ANTHROPIC_API_KEY=a\nAWS_ACCESS_KEY_ID=b\nAWS_SECRET_ACCESS_KEY=c"}
		load(t, files, "outcrop.yaml")
		if err := valid(example); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
	}
}
