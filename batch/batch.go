// Package batch runs batch jobs: it validates their files, hands their records
// out in chunks, has each record answered by an Invoker, and writes answers,
// errors and the manifest where the job says. docs/batch.md tells the rules.
//
// A job survives whatever ends the server. Work is queued by River, which can
// run the same work twice at once; so every piece of work counts its attempts in
// an epoch of its own, and every transaction that writes down what was done
// checks it. The answers of some records, that they are answered, and what they
// cost are one transaction, so that each record is in the output once and is
// paid for once. What a crash loses is at most what was not written down since,
// which is run again.
package batch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop"
)

// An Object is one file of a store of objects.
type Object struct {
	Key, ETag string
	Size      int64
}

// What an Objects can refuse; each may come wrapped. Any other error is taken
// to pass.
var (
	ErrNoObject = errors.New("there is no such object or bucket")
	ErrDenied   = errors.New("access is denied")
	ErrChanged  = errors.New("the object is not the one that was expected")
	ErrExists   = errors.New("there is an object already")
	// ErrRefused: it would be refused each time, whoever asks. An *outcrop.Error
	// that comes with it tells the owner of the job why.
	ErrRefused = errors.New("the store refuses the request")
)

// An Upload is an upload in parts that was begun and not ended.
type Upload struct{ Key, ID string }

// Objects is a store of objects as one account sees it. It is safe for
// concurrent use.
type Objects interface {
	// List returns objects whose keys begin with prefix, in the order of keys,
	// and where the next page begins; "" if there is none. The first page is
	// from "".
	List(ctx context.Context, bucket, prefix, from string) (page []Object, next string, err error)
	Stat(ctx context.Context, bucket, key string) (Object, error)
	// Read returns the bytes from..to of the object if it still has the ETag,
	// or ErrChanged. An empty etag is any.
	Read(ctx context.Context, bucket, key, etag string, from, to int64) (io.ReadCloser, error)
	// Put writes a whole object; with exclusive only if there is none, or else
	// ErrExists. body is not kept.
	Put(ctx context.Context, bucket, key string, body []byte, exclusive bool) error
	// Begin starts an upload in parts. It becomes the object with Complete.
	Begin(ctx context.Context, bucket, key string) (upload string, err error)
	// Part writes part n, from 1; all but the last have 5 MiB or more. That an
	// upload has ended is to Part and Complete an error that passes: another
	// one can be begun.
	Part(ctx context.Context, bucket, key, upload string, n int, body []byte) (etag string, err error)
	Complete(ctx context.Context, bucket, key, upload string, etags []string) error
	Abort(ctx context.Context, bucket, key, upload string) error
	// Uploads returns the uploads of keys that begin with prefix.
	Uploads(ctx context.Context, bucket, prefix string) ([]Upload, error)
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, bucket, key string) error
}

// A Row is one record on its way to a model.
type Row struct {
	Job    *outcrop.Job // read-only
	ID     string       // of the invocation; another one for each attempt
	Input  outcrop.JSON // borrowed until Invoke returns
	Hurry  bool         // its job does not make it on idle capacity alone
	Expiry time.Time    // after which the answer is of no use
}

// An Invoker answers records. It is safe for concurrent use.
//
// The answer is a whole body, and the caller's. The Receipt tells what was
// consumed, also beside an error. Errors of type *outcrop.Error are told to the
// owner of the job.
type Invoker interface {
	Invoke(ctx context.Context, row *Row) (answer []byte, receipt outcrop.Receipt, err error)
}

// Options configure a Runner. Zero values stand for the defaults.
type Options struct {
	// Database is a file for SQLite, or a postgres:// address.
	Database string
	// Server names this server among those that share the database, also after
	// a restart.
	Server string
	// Objects returns the store as the account sees it; owner, if not empty,
	// is the account that buckets are expected to belong to.
	Objects func(account, owner string) Objects
	Invoker Invoker

	ChunkRecords int64 // in a chunk at most; 2000
	ChunkBytes   int64 // 8 MiB
	MaxLine      int   // bytes of a line; 32 MiB
	Chunks       int   // of one model that are worked on at a time; 4
	Concurrency  int   // records of one chunk that run at a time; 64

	MinRecords, MaxRecords int64 // in a job; 0 is no bound
	EnqueuedTokens         int64 // of one account that wait at a time; 0 is no bound

	PartBytes int           // after which answers are written down; 8 MiB
	PartTime  time.Duration // likewise; 10 s
	// PartRecords is likewise. By default it is so many that the chunks of a
	// model together never have more records at stake than one chunk has.
	PartRecords int
	// Late is how long after the end of a job it is looked for what a server
	// has left in its folder that was taken for dead, and was not; 1 day.
	Late time.Duration
	// Turn is how long work goes on before it is written down and queued
	// again, and Timeout when it is cut off. Other servers take over the work
	// of one that died after Rescue, which is more than twice as long.
	Turn, Timeout, Rescue time.Duration // 5 min, 10 min, 25 min
	Poll                  time.Duration // how often to look for work and for what was stopped; 500 ms
	// Rest is how long there must be no work until nobody looks for it any
	// more. It is for databases that no other server uses.
	Rest time.Duration // 30 s

	// Need, if not nil, is told every few seconds how many records a second of
	// each model must be answered, so that the jobs which hurry are done in
	// time. The map is the callee's.
	Need func(perSecond map[string]float64)
	// Event, if not nil, is told of every change of a job's status, at least
	// once, in no order. An error has it called again later.
	Event   func(ctx context.Context, e Event) error
	Metrics *Metrics     // nil counts nothing
	Log     *slog.Logger // nil: nothing is logged
}

func (o Options) withDefaults() Options {
	o.Server = cmp.Or(o.Server, "outcrop")
	o.ChunkRecords = cmp.Or(o.ChunkRecords, 2000)
	o.ChunkBytes = cmp.Or(o.ChunkBytes, 8<<20)
	o.MaxLine = cmp.Or(o.MaxLine, 32<<20)
	o.Chunks = cmp.Or(o.Chunks, 4)
	o.Concurrency = cmp.Or(o.Concurrency, 64)
	o.PartBytes = cmp.Or(o.PartBytes, 8<<20)
	o.PartTime = cmp.Or(o.PartTime, 10*time.Second)
	o.PartRecords = cmp.Or(o.PartRecords, max(int(o.ChunkRecords)/o.Chunks-o.Concurrency, o.Concurrency))
	o.Late = cmp.Or(o.Late, 24*time.Hour)
	o.Turn = cmp.Or(o.Turn, 5*time.Minute)
	o.Timeout = cmp.Or(o.Timeout, 2*o.Turn)
	o.Rescue = max(o.Rescue, 2*o.Timeout+o.Timeout/2)
	o.Rest = cmp.Or(o.Rest, 30*time.Second)
	o.Poll = cmp.Or(o.Poll, 500*time.Millisecond)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	return o
}

// A Runner runs batch jobs. It is safe for concurrent use.
type Runner struct {
	Options
	db database

	mu      sync.Mutex
	running map[chunkID]bool // chunks that this process works on

	bulky   bulky
	queued  chan struct{}   // work was
	asleep  atomic.Bool     // nothing runs, for want of work
	life    context.Context // ends with Close
	end     context.CancelFunc
	keepers sync.WaitGroup
}

// Open opens the database, makes it if there is none, and brings its schema up
// to date. The caller must Close the Runner. No work is done before Start.
func Open(ctx context.Context, o Options) (*Runner, error) {
	r := &Runner{Options: o.withDefaults(), running: map[chunkID]bool{}, queued: make(chan struct{}, 1)}
	r.asleep.Store(true)
	var err error
	if r.db, err = openDatabase(ctx, r); err != nil {
		return nil, err
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Halt ends all work and writes down what was done. The work goes on after the
// next Start of a new Runner. It may be called any number of times.
func (r *Runner) Halt() {
	r.end()
	r.keepers.Wait()
	r.db.stop()
}

// Close is Halt, and closes the database.
func (r *Runner) Close() error {
	r.Halt()
	return r.db.close()
}
