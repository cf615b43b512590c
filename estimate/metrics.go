package estimate

import (
	"bytes"
	"math"
	"strconv"
)

// The metrics of vLLM that count; each is added up over its label sets.
const (
	metricRunning     = "vllm:num_requests_running"
	metricWaiting     = "vllm:num_requests_waiting"
	metricPreemptions = "vllm:num_preemptions_total"
	metricUsage       = "vllm:kv_cache_usage_perc"
	metricUsageOld    = "vllm:gpu_cache_usage_perc" // until vLLM 0.10
	metricCache       = "vllm:cache_config_info"    // the figures are in the labels
)

// ParseMetrics reads a page in the text format of Prometheus; ok is false if it
// does not have the metrics of vLLM.
func ParseMetrics(page []byte) (s Scrape, ok bool) {
	for len(page) > 0 {
		var line []byte
		line, page, _ = bytes.Cut(page, []byte("\n"))
		name, value, good := sample(line)
		if !good {
			continue
		}
		switch string(name) {
		case metricRunning:
			s.Running += count(value)
			ok = true
		case metricWaiting:
			s.Waiting += count(value)
			ok = true
		case metricPreemptions:
			s.Preemptions += value
		case metricUsage, metricUsageOld:
			s.KVUsage = max(s.KVUsage, min(value, 1))
		case metricCache:
			s.KVTokens = min(s.KVTokens+label(line, "block_size")*label(line, "num_gpu_blocks"), 1<<60)
		}
	}
	return s, ok
}

// sample splits a line into name and value. Labels may hold blanks and braces.
func sample(line []byte) (name []byte, value float64, ok bool) {
	if !bytes.HasPrefix(line, []byte("vllm:")) {
		return nil, 0, false
	}
	end := bytes.IndexAny(line, "{ \t")
	if end < 0 {
		return nil, 0, false
	}
	name, rest := line[:end], line[end:]
	if rest[0] == '{' {
		closing := bytes.LastIndexByte(rest, '}')
		if closing < 0 {
			return nil, 0, false
		}
		rest = rest[closing+1:]
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 || len(fields) > 2 {
		return nil, 0, false
	}
	value, err := strconv.ParseFloat(string(fields[0]), 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
		return nil, 0, false
	}
	return name, value, true
}

// label returns the number that is the value of a label; 0 if it is none, or
// one that no engine has.
func label(line []byte, name string) int {
	for _, before := range []string{"{", ","} {
		_, rest, found := bytes.Cut(line, []byte(before+name+`="`))
		value, _, closed := bytes.Cut(rest, []byte(`"`))
		if n, err := strconv.Atoi(string(value)); found && closed && err == nil && n > 0 && n < 1<<30 {
			return n
		}
	}
	return 0
}

func count(v float64) int { return int(min(v, 1<<20)) }
