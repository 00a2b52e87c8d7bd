// Runs etcd inside this process.
// Its data outlives a stop, so `up` on the same directory finds its objects again.
package main

import (
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd listens on free loopback ports and does not wait for the disk: what a crash loses, a test can lose.
func startEtcd(dir string) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.UnsafeNoFsync, cfg.QuotaBackendBytes = dir, "error", true, 8<<30
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{anyPort}, []url.URL{anyPort}
	// A single member never talks to a peer; the address is only part of its name, and must be the same at every start.
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{anyPort}, []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case <-time.After(time.Minute):
		server.Close()
		return nil, fmt.Errorf("etcd was not ready within a minute")
	}
}
