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
// of them does without. Port 0 is any free one; it returns which.
func listen(port int) ([]net.Listener, int, error) {
	all, err := listenOn(port)
	for range 10 { // any port of one address may be taken on the other
		if err == nil || port != 0 {
			break
		}
		all, err = listenOn(port)
	}
	if err != nil {
		return nil, 0, err
	}
	return all, portOf(all[0]), nil
}

func listenOn(port int) ([]net.Listener, error) {
	var all []net.Listener
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		switch {
		case err == nil:
			all = append(all, l)
			port = portOf(l)
			continue
		case errors.Is(err, syscall.EADDRINUSE):
			err = fmt.Errorf("port %d is taken: end what listens there, or choose another with PORT=%d make dev", port, another(port))
		case errors.Is(err, syscall.EACCES):
			err = fmt.Errorf("port %d is not allowed for you: choose another with PORT=8080 make dev", port)
		case host == "::1" && len(all) > 0:
			continue
		default:
			err = fmt.Errorf("cannot listen on port %d; choose another with PORT=… make dev: %w", port, err)
		}
		for _, l := range all {
			_ = l.Close()
		}
		return nil, err
	}
	return all, nil
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// another is a port to propose in place of one that is taken.
func another(port int) int {
	if port < 65535 {
		return port + 1
	}
	return 8080
}
