package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
)

// alignment is where tensors and their data may begin.
const alignment = 32

// A writer writes GGUF values and remembers the first error.
type writer struct {
	w   *bufio.Writer
	n   uint64
	err error
}

func (w *writer) put(values ...any) {
	for _, v := range values {
		if s, ok := v.(string); ok {
			w.put(uint64(len(s)), []byte(s))
			continue
		}
		if w.err == nil {
			w.err = binary.Write(w.w, binary.LittleEndian, v)
		}
		w.n += uint64(binary.Size(v))
	}
}

func (w *writer) align() {
	for w.n%alignment != 0 {
		w.put(byte(0))
	}
}

// write writes the model and returns how many parameters and bytes it has.
func write(to io.Writer, s spec, v vocabulary) (parameters int, size uint64, err error) {
	w := &writer{w: bufio.NewWriterSize(to, 1<<20)}
	tensors := s.tensors()
	metadata := s.metadata(v)
	w.put([]byte("GGUF"), uint32(3), uint64(len(tensors)), uint64(len(metadata)))
	for _, k := range slices.Sorted(maps.Keys(metadata)) {
		w.put(k)
		w.value(metadata[k])
	}
	offset := uint64(0)
	for _, t := range tensors {
		if t.rows == 0 {
			w.put(t.name, uint32(1), uint64(t.columns), uint32(t.weights), offset)
		} else {
			w.put(t.name, uint32(2), uint64(t.columns), uint64(t.rows), uint32(t.weights), offset)
		}
		offset += (t.size() + alignment - 1) / alignment * alignment
		parameters += t.columns * max(t.rows, 1)
	}
	w.align()
	w.weights(s, v, tensors)
	if w.err != nil {
		return 0, 0, w.err
	}
	return parameters, w.n, w.w.Flush()
}

// value writes one metadata value after its type.
func (w *writer) value(v any) {
	switch v := v.(type) {
	case uint32:
		w.put(uint32(4), v)
	case float32:
		w.put(uint32(6), v)
	case bool:
		w.put(uint32(7), v)
	case string:
		w.put(uint32(8), v)
	case []int32:
		w.put(uint32(9), uint32(5), uint64(len(v)), v)
	case []string:
		w.put(uint32(9), uint32(8), uint64(len(v)))
		for _, s := range v {
			w.put(s)
		}
	}
}

func (s spec) metadata(v vocabulary) map[string]any {
	return map[string]any{
		"general.architecture":                   "llama",
		"general.name":                           s.name,
		"general.file_type":                      map[ggmlType]uint32{f32: 0, f16: 1, q8: 7}[s.weights],
		"general.alignment":                      uint32(alignment),
		"llama.context_length":                   uint32(s.context),
		"llama.embedding_length":                 uint32(s.dim),
		"llama.block_count":                      uint32(s.layers),
		"llama.feed_forward_length":              uint32(s.ff),
		"llama.rope.dimension_count":             uint32(s.dim / s.heads),
		"llama.rope.freq_base":                   float32(10000),
		"llama.attention.head_count":             uint32(s.heads),
		"llama.attention.head_count_kv":          uint32(s.kv),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5),
		"llama.vocab_size":                       uint32(s.vocab),
		"tokenizer.ggml.model":                   "gpt2",
		"tokenizer.ggml.pre":                     "gpt-2",
		"tokenizer.ggml.tokens":                  v.tokens,
		"tokenizer.ggml.token_type":              v.types,
		"tokenizer.ggml.merges":                  v.merges,
		"tokenizer.ggml.bos_token_id":            beginToken,
		"tokenizer.ggml.eos_token_id":            endToken,
		"tokenizer.ggml.padding_token_id":        endToken,
		"tokenizer.ggml.add_bos_token":           true,
		"tokenizer.chat_template":                chatTemplate,
	}
}

func block(i int, part string) string { return fmt.Sprintf("blk.%d.%s.weight", i, part) }
