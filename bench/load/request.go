package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// An Auth is how a request proves who sends it: a bearer key, or a SigV4
// signature, or, if both are empty, not at all.
type Auth struct {
	Bearer         string
	Access, Secret string
	Region         string
}

func (a Auth) signs() bool { return a.Access != "" }

// build makes the whole HTTP request.
func build(o *Options, now time.Time) ([]byte, error) {
	path, body, err := o.content()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	h := []string{"Host: " + o.Addr, "Content-Type: application/json", "User-Agent: load"}
	switch {
	case o.Auth.signs():
		h = append(h, o.Auth.sign(o.Addr, path, b, now)...)
	case o.Auth.Bearer != "":
		h = append(h, "Authorization: Bearer "+o.Auth.Bearer)
	}
	h = append(h, fmt.Sprintf("Content-Length: %d", len(b)))
	return append([]byte("POST "+path+" HTTP/1.1\r\n"+strings.Join(h, "\r\n")+"\r\n\r\n"), b...), nil
}

const words = "Tell me, step by step, how the tide turns and why. "

// content is the request's path and body.
func (o *Options) content() (path string, body map[string]any, err error) {
	prompt := strings.Repeat(words, o.Prompt/len(words)+1)[:o.Prompt]
	model := "/model/" + url.QueryEscape(o.Model)
	invoke := model + "/invoke"
	if o.Stream {
		invoke += "-with-response-stream"
	}
	switch o.Protocol {
	case OpenAI:
		return "/v1/chat/completions", o.streamed(map[string]any{"model": o.Model, "messages": message(prompt), "max_tokens": 256}), nil
	case Anthropic:
		return "/v1/messages", o.streamed(map[string]any{"model": o.Model, "messages": message(prompt), "max_tokens": 256}), nil
	case InvokeOpenAI:
		return invoke, map[string]any{"messages": message(prompt), "max_tokens": 256}, nil
	case InvokeAnthropic:
		return invoke, map[string]any{"anthropic_version": "bedrock-2023-05-31", "messages": message(prompt), "max_tokens": 256}, nil
	case Converse:
		path = model + "/converse"
		if o.Stream {
			path += "-stream"
		}
		return path, map[string]any{
			"messages":        []any{map[string]any{"role": "user", "content": []any{map[string]any{"text": prompt}}}},
			"inferenceConfig": map[string]any{"maxTokens": 256},
		}, nil
	}
	return "", nil, fmt.Errorf("unknown protocol %q", o.Protocol)
}

func message(prompt string) []any {
	return []any{map[string]any{"role": "user", "content": prompt}}
}

// streamed asks for a stream where the body does that.
func (o *Options) streamed(body map[string]any) map[string]any {
	if o.Stream {
		body["stream"] = true
		if o.Protocol == OpenAI {
			body["stream_options"] = map[string]any{"include_usage": true}
		}
	}
	return body
}

// sign returns the headers of a SigV4 signature [AWS Signature Version 4,
// header form, service "bedrock", path encoded twice].
func (a Auth) sign(host, path string, body []byte, now time.Time) []string {
	now = now.UTC()
	date, day := now.Format("20060102T150405Z"), now.Format("20060102")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	}
	const signed = "content-type;host;x-amz-date"
	canonical := strings.Join([]string{"POST", strings.Join(segments, "/"), "",
		"content-type:application/json", "host:" + host, "x-amz-date:" + date, "",
		signed, hexSum(body)}, "\n")
	scope := day + "/" + a.Region + "/bedrock/aws4_request"
	toSign := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + hexSum([]byte(canonical))
	key := []byte("AWS4" + a.Secret)
	for _, s := range []string{day, a.Region, "bedrock", "aws4_request", toSign} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(s))
		key = m.Sum(nil)
	}
	return []string{"X-Amz-Date: " + date, "Authorization: AWS4-HMAC-SHA256 Credential=" + a.Access + "/" + scope +
		", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(key)}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
