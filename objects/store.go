package objects

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/outcrop/outcrop"
)

// How long an S3 over the network may take; bodies have the time of the
// context.
const (
	connectTime = 10 * time.Second
	answerTime  = 5 * time.Minute
	idleTime    = 90 * time.Second
	// attempts and longestWait are those of one call; whoever can wait longer
	// calls again.
	attempts    = 3
	longestWait = time.Second / 2
)

// builtinEndpoint is a name that is never looked up.
const builtinEndpoint = "http://s3.outcrop.internal"

// A Store reaches all buckets. It is safe for concurrent use.
type Store struct {
	options Options
	network *http.Client
	local   *http.Client // nil without a built-in store
	mu      sync.Mutex
	apis    map[identifier]*s3.Client
}

// identifier tells clients of S3 apart; elsewhere than in the built-in store
// all accounts share one.
type identifier struct {
	place   int
	account string
}

// New returns a Store of the places. Close it to close idle connections.
func New(o Options) *Store {
	s := &Store{options: o, apis: map[identifier]*s3.Client{}}
	dialer := &net.Dialer{Timeout: connectTime}
	s.network = &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: connectTime,
		ResponseHeaderTimeout: answerTime, IdleConnTimeout: idleTime, MaxIdleConnsPerHost: 64, DisableCompression: true, ForceAttemptHTTP2: true},
		CheckRedirect: noRedirect}
	if o.Builtin != nil {
		s.local = &http.Client{Transport: o.Builtin.Transport(), CheckRedirect: noRedirect}
	}
	return s
}

// noRedirect keeps credentials from going where a server sends them.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes idle connections.
func (s *Store) Close() { s.network.CloseIdleConnections() }

// A Client asks on behalf of one account. It is safe for concurrent use.
type Client struct {
	store   *Store
	account string
}

// For returns a Client of the account. In the built-in store it may do what
// the account may; elsewhere what the place's credentials may, if the place is
// one for the account.
func (s *Store) For(account string) *Client { return &Client{store: s, account: account} }

// at returns the API of the place that has the bucket of r.
func (c *Client) at(r Ref) (*s3.Client, error) {
	bucket := r.Bucket
	switch {
	case !bucketName(bucket):
		return nil, outcrop.Invalid("The name of the bucket is malformed: 3 to 63 lower-case letters, digits, '-' and '.'.")
	case leaves(r.Key):
		return nil, outcrop.Invalid("A key with '.' or '..' between its slashes is not supported.")
	}
	for i := range c.store.options.Places {
		p := &c.store.options.Places[i]
		if !outcrop.Match(p.Buckets, bucket) {
			continue
		}
		if len(p.Accounts) > 0 && !slices.Contains(p.Accounts, c.account) {
			return nil, &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "The account may not use the bucket " + bucket + "."}
		}
		return c.store.api(i, c.account), nil
	}
	return nil, &outcrop.Error{Code: outcrop.CodeNotFound, Message: "No S3 is configured for the bucket " + bucket + "."}
}

// leaves reports whether the key, put into the path of an address, might be
// taken for another one, or for one in another bucket.
func leaves(key string) bool {
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// bucketName reports whether s has the form of a bucket's name. Nothing else
// may get into the host of an address.
func bucketName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return len(s) >= 3 && len(s) <= 63
}

func (s *Store) api(place int, account string) *s3.Client {
	p := &s.options.Places[place]
	id := identifier{place: place}
	if p.Endpoint == "" {
		id.account = account
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apis[id] == nil {
		s.apis[id] = s.connect(p, account)
	}
	return s.apis[id]
}

func (s *Store) connect(p *Place, account string) *s3.Client {
	o := s3.Options{Retryer: retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = attempts, longestWait }),
		Region: p.Region, BaseEndpoint: &p.Endpoint, UsePathStyle: p.PathStyle, HTTPClient: s.network,
		Credentials: static(p.KeyID, p.Secret.Reveal(), p.Token.Reveal()),
		// Many a server that speaks S3 does not know the newer checksums.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired}
	if p.Endpoint == "" {
		o.Region, o.BaseEndpoint, o.UsePathStyle, o.HTTPClient = s.options.Region, aws.String(builtinEndpoint), true, s.local
		o.Credentials = static(account, s.options.Builtin.Secret(account), "")
		// What does not leave the machine needs no hash of its own.
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			_ = v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware(stack) // requests without a body have no such step
			return nil
		})
	}
	return s3.New(o)
}

func static(id, secret, token string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token, Source: "outcrop"}, nil
	})
}
