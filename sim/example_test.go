package sim_test

import (
	"context"
	"fmt"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/sim"
)

func ExampleEngine_Invoke() {
	card := &outcrop.Card{ID: "anthropic.claude-3-haiku-20240307-v1:0", Context: 200_000}
	engine := sim.New(sim.Config{Card: card, Seed: 1})
	var answer outcrop.Answer
	receipt, err := engine.Invoke(context.Background(), &outcrop.Request{
		Card: card,
		Conversation: &outcrop.Conversation{
			Messages: []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{
				{Kind: outcrop.BlockText, Text: outcrop.Quote("Explain machine learning")},
			}}},
			Inference: outcrop.Inference{MaxTokens: 60},
		},
	}, &answer)
	fmt.Println(answer.Content[0].Text)
	fmt.Println(answer.Stop, receipt.Usage.Output, err)
	// Output:
	// [simulated claude-3-haiku] You wrote: "Explain machine learning". No model ran; this text was made up.
	//
	// Whoever begins with learning sooner or later comes to the question. Some people would put the question before machine, and they
	// max_tokens 60 <nil>
}
