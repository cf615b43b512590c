package records

// A Chunk is a run of lines of one file that is worked on at a time.
type Chunk struct {
	From, To int64 // offsets in the file
	First    int64 // number of its first record
	Records  int64
}

// A Planner cuts a file into chunks. Each record of the file is in exactly one
// of them, in the order of the file.
type Planner struct {
	// Records and Bytes bound a chunk; one record may be larger than Bytes.
	Records, Bytes int64
	// First is the number of the file's first record.
	First  int64
	Chunks []Chunk
	next   Chunk
}

// Add takes the next record of the file.
func (p *Planner) Add(l Line) {
	if c := &p.next; c.Records > 0 && (c.Records >= p.Records || l.To-c.From > p.Bytes) {
		p.cut()
	}
	if p.next.Records == 0 {
		p.next.From, p.next.First = l.From, p.First
	}
	p.next.To = l.To
	p.next.Records++
	p.First++
}

// Done ends the file and returns its chunks.
func (p *Planner) Done() []Chunk {
	if p.next.Records > 0 {
		p.cut()
	}
	return p.Chunks
}

func (p *Planner) cut() {
	p.Chunks = append(p.Chunks, p.next)
	p.next = Chunk{}
}
