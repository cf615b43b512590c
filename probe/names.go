package probe

import (
	"fmt"
	"regexp"
	"strings"
)

// families map the names that engines give to open models to the ids under
// which Bedrock offers the same models. $size is the group "size", or the
// default where the name has none.
var families = []struct {
	name *regexp.Regexp
	id   string
	size string
}{
	{regexp.MustCompile(`^(?:meta-)?llama-?3[.-]1(?:[:-](?P<size>8b|70b|405b)(?:-instruct.*)?|:latest)?$`), "meta.llama3-1-$size-instruct-v1:0", "8b"},
	{regexp.MustCompile(`^(?:meta-)?llama-?3[.-]2(?:-vision)?(?:[:-](?P<size>1b|3b|11b|90b)(?:(?:-vision)?-instruct.*)?|:latest)?$`), "meta.llama3-2-$size-instruct-v1:0", "3b"},
	{regexp.MustCompile(`^(?:meta-)?llama-?3[.-]3(?:[:-](?P<size>70b)(?:-instruct.*)?|:latest)?$`), "meta.llama3-3-$size-instruct-v1:0", "70b"},
	{regexp.MustCompile(`^(?:meta-)?llama-?3(?:[:-](?P<size>8b|70b)(?:-instruct.*)?|:latest)?$`), "meta.llama3-$size-instruct-v1:0", "8b"},
	{regexp.MustCompile(`^gpt-oss(?:[:-](?P<size>20b|120b).*|:latest)?$`), "openai.gpt-oss-$size-1:0", "20b"},
	{regexp.MustCompile(`^mistral(?:[:-](?P<size>7b)(?:-instruct.*)?|:latest)?$`), "mistral.mistral-$size-instruct-v0:2", "7b"},
	{regexp.MustCompile(`^mixtral(?:[:-](?P<size>8x7b)(?:-instruct.*)?|:latest)?$`), "mistral.mixtral-$size-instruct-v0:1", "8x7b"},
	{regexp.MustCompile(`^qwen3[:-](?P<size>32b).*$`), "qwen.qwen3-$size-v1:0", ""},
	{regexp.MustCompile(`^qwen3[:-](?P<size>235b-a22b)-(?:instruct-)?2507.*$`), "qwen.qwen3-$size-2507-v1:0", ""},
	{regexp.MustCompile(`^qwen3-coder(?:[:-]30b.*|:latest)?$`), "qwen.qwen3-coder-30b-a3b-v1:0", ""},
	{regexp.MustCompile(`^qwen3-coder[:-]480b.*$`), "qwen.qwen3-coder-480b-a35b-v1:0", ""},
	{regexp.MustCompile(`^deepseek-r1(?:[:-]671b.*)?$`), "deepseek.r1-v1:0", ""},
}

// modelID returns the id under which callers find the engine's model: that of
// the same model on Bedrock, or else one that begins with "local.". It is
// never one of those taken.
func modelID(name string, taken map[string]bool) string {
	if id := bedrockID(name); id != "" && !taken[id] {
		return id
	}
	id := "local." + slug(name)
	for n := 2; taken[id]; n++ {
		id = fmt.Sprintf("local.%s-%d", slug(name), n)
	}
	return id
}

// bedrockID returns the id of the same model on Bedrock, or "".
func bedrockID(name string) string {
	name = strings.ToLower(name[strings.LastIndexAny(name, `/\`)+1:])
	name = strings.ReplaceAll(strings.TrimSuffix(name, ".gguf"), "_", "-")
	for _, f := range families {
		match := f.name.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		size := f.size
		if i := f.name.SubexpIndex("size"); i > 0 && match[i] != "" {
			size = match[i]
		}
		return strings.ReplaceAll(f.id, "$size", size)
	}
	return ""
}

// slug spells a name in the letters that model ids have.
func slug(name string) string {
	name = strings.ToLower(name[strings.LastIndexAny(name, `/\`)+1:])
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := strings.TrimRight(b.String()[:min(b.Len(), 60)], "-")
	if s == "" {
		return "model"
	}
	return s
}
