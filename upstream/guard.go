package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// A Dial opens a connection.
type Dial = func(ctx context.Context, network, addr string) (net.Conn, error)

var errAddress = errors.New("upstream: the name leads to an address that an engine must not have")

// guarded returns a Dial that checks, after the name was resolved, that the
// address may be an engine's. An address that stands in the URL itself is
// what the operator asked for.
func guarded(host string) Dial {
	d := net.Dialer{}
	if _, err := netip.ParseAddr(host); err != nil {
		local := isLocalName(host)
		d.Control = func(_, address string, _ syscall.RawConn) error { return checkAddress(address, local) }
	}
	return d.DialContext
}

func checkAddress(address string, local bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errAddress
	}
	a := ap.Addr().Unmap().WithZone("")
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), a == metadataV6:
		return errAddress
	case a.IsLoopback() && !local:
		return errAddress
	}
	return nil
}

// metadataV6 is where clouds have the metadata service beside 169.254.169.254,
// which is a link-local address.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")

// isLocalName reports whether host is a name that no public DNS serves, and
// that may therefore stand for the machine itself.
func isLocalName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") {
		return true
	}
	for _, zone := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return false
}
