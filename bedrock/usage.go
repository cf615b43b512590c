package bedrock

import (
	"strconv"
	"time"

	"github.com/outcrop/outcrop"
)

// appendUsage appends the TokenUsage object.
func appendUsage(dst []byte, u outcrop.Usage) []byte {
	dst = appendInt(append(dst, `{"inputTokens":`...), u.Input)
	dst = appendInt(append(dst, `,"outputTokens":`...), u.Output)
	dst = appendInt(append(dst, `,"totalTokens":`...), u.Total())
	dst = appendInt(append(dst, `,"cacheReadInputTokens":`...), u.CacheRead)
	dst = appendInt(append(dst, `,"cacheWriteInputTokens":`...), u.CacheWrite)
	return append(dst, '}')
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// appendReceipt appends the members that close an answer: usage, metrics and,
// where one was asked for or served, tier and latency.
func appendReceipt(dst []byte, req *outcrop.Request, r outcrop.Receipt, elapsed time.Duration) []byte {
	dst = appendUsage(append(dst, `"usage":`...), r.Usage)
	dst = append(dst, `,"metrics":{"latencyMs":`...)
	dst = append(strconv.AppendInt(dst, elapsed.Milliseconds(), 10), '}')
	if req.Latency != "" || r.Latency != "" {
		dst = append(dst, `,"performanceConfig":{"latency":"`...)
		dst = append(dst, or(r.Latency, outcrop.LatencyStandard)...)
		dst = append(dst, `"}`...)
	}
	if req.Tier != "" || r.Tier != "" {
		dst = append(dst, `,"serviceTier":{"type":"`...)
		dst = append(dst, or(r.Tier, outcrop.TierDefault)...)
		dst = append(dst, `"}`...)
	}
	return dst
}

func or[T ~string](v, otherwise T) T {
	if v == "" {
		return otherwise
	}
	return v
}
