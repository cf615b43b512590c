package main

import (
	"time"

	"github.com/outcrop/outcrop/calibration"
)

// proposalView is a proposal as JSON, which is stable: members are added and
// not changed, or version rises. Times are in milliseconds, rates in tokens or
// steps a second, errors in shares of 1. What is not known is left out.
type proposalView struct {
	Version   int    `json:"version"`
	Model     string `json:"model"`
	Engine    string `json:"engine"`
	Kind      string `json:"kind"`
	Simulated bool   `json:"simulated"`

	Capacity  capacityView  `json:"capacity"`
	Unit      unitView      `json:"unit"`
	Output    outputView    `json:"output"`
	Constants constantsView `json:"constants"`
	Bounds    boundsView    `json:"bounds"`
	Fit       fitView       `json:"fit"`
	Warnings  []string      `json:"warnings"`

	Reads   []readView   `json:"reads"`
	Decodes []decodeView `json:"decodes"`
	Stall   *stallView   `json:"stall,omitempty"`

	PromptTokens int     `json:"prompt_tokens"`
	OutputTokens int     `json:"output_tokens"`
	TookMS       float64 `json:"took_ms"`
}

type capacityView struct {
	Prefill   float64 `json:"prefill"`
	Decode    float64 `json:"decode"`
	Output    int     `json:"output"`
	Sequences int     `json:"sequences"`
	Cache     int     `json:"cache,omitempty"`
	Budget    int     `json:"budget,omitempty"`
}

type unitView struct {
	Input  int64 `json:"input_tokens_per_minute"`
	Output int64 `json:"output_tokens_per_minute"`
}

type outputView struct {
	Sequences int     `json:"sequences"`
	Context   int     `json:"context_per_sequence"`
	GapMS     float64 `json:"gap_ms"`
	MaxGapMS  float64 `json:"max_gap_ms"`
	Rate      float64 `json:"tokens_per_second"`
}

type constantsView struct {
	EntryMS   float64 `json:"entry_ms"`
	StepMS    float64 `json:"step_ms"`
	WeightsMS float64 `json:"weights_ms"`
	TokenMS   float64 `json:"token_ms"`
	ContextMS float64 `json:"context_ms"`
}

type boundsView struct {
	Sequences boundView `json:"sequences"`
	Cache     boundView `json:"cache"`
	Budget    boundView `json:"budget"`
}

type boundView struct {
	Seen  int  `json:"seen"`
	Limit bool `json:"limit"`
}

type fitView struct {
	Reads   residualView `json:"reads"`
	Decodes residualView `json:"decodes"`
}

type residualView struct {
	Typical float64 `json:"typical"`
	Worst   float64 `json:"worst"`
	Samples int     `json:"samples"`
	Left    int     `json:"left_out"`
}

type readView struct {
	Tokens int     `json:"tokens"`
	TookMS float64 `json:"took_ms"`
	FitMS  float64 `json:"fit_ms"`
}

type decodeView struct {
	Sequences int     `json:"sequences"`
	Context   int     `json:"context"`
	GapMS     float64 `json:"gap_ms"`
	FitMS     float64 `json:"fit_ms"`
}

type stallView struct {
	Prompt    int     `json:"prompt"`
	Sequences int     `json:"sequences"`
	UsualMS   float64 `json:"usual_ms"`
	WorstMS   float64 `json:"worst_ms"`
}

func (p *proposal) view(warnings []string) proposalView {
	c, unit, out, k := p.fit.Capacity(), p.fit.Unit(p.maxGap), p.fit.Output(p.maxGap), p.fit.Constants()
	v := proposalView{
		Version: 1, Model: p.engine.Card.ID, Engine: p.engine.Config.Name, Kind: string(p.engine.Config.Kind), Simulated: p.result.Simulated,
		Capacity:  capacityView{c.PrefillRate, c.DecodeRate, int(max(out.Rate, 1)), c.MaxSeqs, c.KVTokens, c.StepBudget},
		Unit:      unitView{unit.Input, unit.Output},
		Output:    outputView{out.Sequences, out.Context, ms(out.Gap), ms(p.maxGap), out.Rate},
		Constants: constantsView{ms(k.Entry), ms(k.Overhead), ms(k.Weights), ms(k.Token) / 1000, ms(k.Context) / 1000},
		Bounds:    boundsView{seen(p.fit.Sequences), seen(p.fit.Cache), seen(p.fit.Budget)},
		Fit:       fitView{residualView(p.fit.Reading), residualView(p.fit.Decoding)},
		Warnings:  warnings, PromptTokens: p.result.PromptTokens, OutputTokens: p.result.OutputTokens, TookMS: ms(p.result.Took),
	}
	for _, r := range p.result.Reads {
		v.Reads = append(v.Reads, readView{r.Tokens, ms(r.Took), ms(p.fit.FirstToken(r.Tokens))})
	}
	for _, d := range p.result.Decodes {
		v.Decodes = append(v.Decodes, decodeView{d.Sequences, d.Context, ms(d.Gap), ms(p.fit.Gap(d.Sequences, d.Context))})
	}
	if s := p.result.Stall; s.Prompt > 0 {
		v.Stall = &stallView{s.Prompt, s.Sequences, ms(s.Usual), ms(s.Worst)}
	}
	return v
}

func seen(b calibration.Bound) boundView { return boundView{b.N, b.Limit} }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
