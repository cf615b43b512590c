package sim

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/tokens"
)

var (
	versionInID = regexp.MustCompile(`(-v[0-9]+(:[0-9a-z]+)*|:[0-9a-z]+)$`)
	dateInID    = regexp.MustCompile(`-20[0-9]{6}$`)
)

// shortName is the model's id without vendor, date and version:
// "claude-3-haiku" for anthropic.claude-3-haiku-20240307-v1:0.
func shortName(req *outcrop.Request) string {
	id := req.ModelID
	if req.Card != nil {
		id = req.Card.ID
	}
	if _, after, ok := strings.Cut(id, "."); ok {
		id = after
	}
	id = versionInID.ReplaceAllString(id, "")
	return dateInID.ReplaceAllString(id, "")
}

func (w *writer) marker() string { return "[simulated " + w.name + "] " }

// minTokens and maxTokens bound the natural length of an answer; the seed
// chooses within.
const (
	minTokens = 60
	maxTokens = 220
)

// prose is a text about the words of the prompt.
func (w *writer) prose() string {
	var b strings.Builder
	b.WriteString(w.marker())
	w.opening(&b)
	least, most := w.length()
	topics := w.topics()
	n := countPlain(b.String())
	for i := 0; n < least; {
		// Counting reads the whole text, so sentences come in bunches.
		for end := i + 1 + n/64; i < end; i++ {
			w.sentence(&b, topics, i)
		}
		n = countPlain(b.String())
	}
	head, _ := tokens.Cut(b.String(), most)
	return head
}

// length returns how many tokens the text should have.
func (w *writer) length() (least, most int) {
	if n, err := strconv.Atoi(metadata(w.req, MetadataOutputTokens)); err == nil && n > 0 {
		n = min(n, w.limit)
		return n, n
	}
	if asked(w.c.Extra).IgnoreEOS {
		return w.limit + 1, w.limit + 1 // the limit will end it
	}
	return minTokens + int(scramble(w.seed+1)%(maxTokens-minTokens)), w.limit + 1
}

func (w *writer) opening(b *strings.Builder) {
	for _, r := range w.seen.results {
		verb := "answered"
		if r.error {
			verb = "failed with"
		}
		name := r.name
		if name == "" {
			name = "you named"
		}
		fmt.Fprintf(b, "The tool %s %s: %q. ", name, verb, quoteLine(r.text, 200))
	}
	if a := w.seen.attachments(); a != "" {
		fmt.Fprintf(b, "I was given %s. ", a)
	}
	if len(w.seen.results) == 0 && w.seen.lastUser != "" {
		fmt.Fprintf(b, "You wrote: %q. ", quoteLine(w.seen.lastUser, 80))
	}
	if w.seen.turns > 1 {
		fmt.Fprintf(b, "This is turn %d of our conversation. ", w.seen.turns)
	}
	b.WriteString("No model ran; this text was made up.")
}

// sentences speak of two things. They claim nothing about the world.
var sentences = []string{
	"Let us look at %s first, and at %s after that.",
	"One way to think about %s is to ask what would change without %s.",
	"It helps to keep %s and %s apart.",
	"Whoever begins with %s sooner or later comes to %s.",
	"There is more to %s than meets the eye, and %s is a part of it.",
	"Consider %s: it is easier to describe once %s is understood.",
	"For most purposes %s matters less than %s.",
	"Some people would put %s before %s, and they have a point.",
	"A short note on %s would not be complete without %s.",
	"If %s is the question, %s is half of the answer.",
	"Between %s and %s lies most of what can be said here.",
	"Start small with %s, measure, and then turn to %s.",
	"The simplest view of %s leaves out %s.",
	"With %s in mind, %s looks different.",
	"What holds for %s need not hold for %s.",
	"An example of %s would make %s clearer.",
}

// sentence adds sentence number i.
func (w *writer) sentence(b *strings.Builder, topics []string, i int) {
	r := scramble(w.seed + uint64(i)*2654435761)
	switch {
	case i == 0 || r>>60 == 0:
		b.WriteString("\n\n")
	default:
		b.WriteByte(' ')
	}
	n := uint64(len(topics))
	first := (r >> 8) % n
	second := (first + 1 + (r>>24)%(n-1)) % n
	fmt.Fprintf(b, sentences[r%uint64(len(sentences))], topics[first], topics[second])
}

const (
	maxTopics = 8
	maxTopic  = 24 // letters
)

// topics are words of the prompt that may carry meaning; at least two.
func (w *writer) topics() []string {
	var all []string
	known := map[string]bool{}
	for word := range strings.FieldsFuncSeq(w.seen.lastUser, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }) {
		word = strings.Trim(word, "-")
		lower := strings.ToLower(word)
		if n := len([]rune(word)); n < 4 || n > maxTopic || known[lower] || dull[lower] {
			continue
		}
		known[lower] = true
		if all = append(all, word); len(all) == maxTopics {
			break
		}
	}
	for _, word := range []string{"the question", "the context", "the details"} {
		if len(all) < 3 {
			all = append(all, word)
		}
	}
	return all
}

// dull words make no topic.
var dull = func() map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(`about after also because been before being between both cannot could does doing
		down during each explain from further give have having hello here into just know like make many more most much
		must only other over please same shall should some such summarize tell than that their them then there these
		they this those through under until very want were what when where which while will with would write your yours`) {
		m[word] = true
	}
	return m
}()

// thoughts is what the engine pretends to think.
func (w *writer) thoughts() string {
	t := w.topics()
	return fmt.Sprintf("This reasoning is simulated. The user speaks of %s and %s. I should first say what was asked, "+
		"then treat %s, and be clear that no model ran.", t[0], t[1], t[len(t)-1])
}
