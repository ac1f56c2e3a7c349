package server

import (
	"fmt"

	"pxkv/node"
	"pxkv/node/kv"
	"pxkv/node/parts"
	"pxkv/transport/httpapi"
	"pxkv/transport/resp"
)

// doors are where clients come in.
type doors struct {
	http *httpapi.Server
	resp *resp.Server // nil when it is turned off
	open []*parts.Part
}

// build binds their addresses.
func (d *doors) build(o *Options, service *node.Node, keys httpapi.Encryption, budget *kv.Budget) error {
	var err error
	d.http, err = httpapi.New(httpapi.Options{
		Listen: o.HTTP, Service: service, Budget: budget, Registry: o.Metrics, Logger: o.Logger,
		MaxValueBytes: o.MaxValueBytes, Debug: o.Debug, Encryption: keys,
	})
	if err != nil {
		return err
	}
	if err := d.http.Listen(); err != nil {
		return fmt.Errorf("%w (--http takes another address)", err)
	}
	if o.RESP == "" {
		return nil
	}
	server, err := resp.New(resp.Options{
		Listen: o.RESP, Service: service, Metrics: o.Metrics, Logger: o.Logger, Version: o.Version,
		MaxValueBytes: o.MaxValueBytes, AllowFlush: o.AllowFlush, Budget: budget, Limits: respLimits,
	})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return fmt.Errorf("%w (is a Redis running here? --resp takes another address, or \"\" for none)", err)
	}
	d.resp = server
	return nil
}

// addresses are what they listen on; "" for one that is turned off.
func (d *doors) addresses() (http, redis string) {
	if d.resp != nil {
		redis = d.resp.Addr().String()
	}
	return d.http.Addr().String(), redis
}

// leave tells the clients of HTTP, with each answer, to go elsewhere. Those of Redis can only be told by an error, as
// they are when their door closes.
func (d *doors) leave() { d.http.Leave() }

// start opens them.
func (d *doors) start(all *parts.Set) {
	d.open = append(d.open, all.Start("http", d.http.Run))
	if d.resp != nil {
		d.open = append(d.open, all.Start("resp", d.resp.Run))
	}
}
