// Package foreign is another S3 server than the built-in one, for tests: a
// process and keys of its own, reached over TCP. It is versitygw as it comes.
package foreign

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	vgw "github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

// The one pair of keys that a server knows, and its region.
const (
	KeyID  = "foreign-key"
	Secret = "foreign-secret"
	Region = "us-east-1"
)

// variable makes the test binary the server that listens on its address.
const variable = "FOREIGN_S3_SERVER"

const listening = "listening"

// Main is to be called first by the TestMain of who calls Start. In the
// process of a server it does not return.
func Main() {
	address := os.Getenv(variable)
	if address == "" {
		return
	}
	fmt.Fprintln(os.Stderr, serve(address, os.Args[1]))
	os.Exit(1)
}

func serve(address, folder string) error {
	backend, err := posix.New(folder, meta.XattrMeta{}, posix.PosixOpts{CopyObjectThreshold: 5 << 30})
	if err != nil {
		return err
	}
	root := middlewares.RootUserConfig{Access: KeyID, Secret: Secret}
	server, err := vgw.New(backend, root, Region, auth.NewIAMServiceSingle(auth.Account{Access: KeyID, Secret: Secret, Role: auth.RoleAdmin}),
		nil, nil, nil, nil, vgw.WithQuiet(), vgw.WithKeepAlive(), vgw.WithConcurrencyLimiter(1000, 1000), vgw.WithOnListen(func() { fmt.Print(listening) }))
	if err != nil {
		return err
	}
	return server.ServeMultiPort([]string{address})
}

// Start starts this test binary as a server, until the test ends, and returns
// its address: a host and a port.
func Start(t testing.TB) string {
	t.Helper()
	address, err := free()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], t.TempDir())
	c.Env = append(os.Environ(), variable+"="+address)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	if said, err := io.ReadAll(io.LimitReader(out, int64(len(listening)))); err != nil || string(said) != listening {
		t.Fatalf("it says %q, %v", said, err)
	}
	return address
}

// free returns an address that nobody listens on.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
