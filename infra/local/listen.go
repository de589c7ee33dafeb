package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// listen takes a port of this machine, for nobody else to reach: on both
// loopback addresses, because "localhost" may mean either, and somebody else's
// program behind one of them would be found in our stead. A machine without one
// of them does without.
func listen(port int) ([]net.Listener, error) {
	var all []net.Listener
	var failed error
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		switch {
		case err == nil:
			all = append(all, l)
			continue
		case errors.Is(err, syscall.EADDRINUSE):
			failed = fmt.Errorf("port %d is taken: end what listens there, or choose another with PORT=%d make dev", port, another(port))
		case errors.Is(err, syscall.EACCES):
			failed = fmt.Errorf("port %d is not allowed for you: choose another with PORT=8080 make dev", port)
		case host == "::1" && len(all) > 0:
			continue
		default:
			failed = fmt.Errorf("cannot listen on port %d; choose another with PORT=… make dev: %w", port, err)
		}
		for _, l := range all {
			_ = l.Close()
		}
		return nil, failed
	}
	return all, nil
}

// another is a port to propose in place of one that is taken.
func another(port int) int {
	if port < 65535 {
		return port + 1
	}
	return 8080
}
