// SPDX-License-Identifier: LGPL-2.1-or-later

// Every method of io.pkram.Store, called with the varlink library for Go as Debian ships it. It cannot pass descriptors:
// a method that needs one is called anyway and has to be refused by name, the rest is done with inline data.
//
//	varlink-go-client [ADDRESS]
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/varlink/go/varlink"
)

const store = "io.pkram.Store."

type dict map[string]interface{}

type node struct {
	Name  string `json:"name"`
	ID    int64  `json:"id"`
	Owner string `json:"owner"`
	Bytes int64  `json:"bytes"`
}

var connection *varlink.Connection

func check(what string, ok bool, why interface{}) {
	if !ok {
		fmt.Printf("varlink-go-client: %s: %v\n", what, why)
		os.Exit(1)
	}
	fmt.Println("ok", what)
}

// Calls a method that has to succeed.
func call(method string, parameters interface{}, out interface{}) {
	err := connection.Call(context.Background(), store+method, parameters, out)
	check(method, err == nil, err)
}

// Calls a method that has to fail with that error, and gives what the error carries.
func refused(method string, parameters interface{}, name string) dict {
	var out, carried dict
	err := connection.Call(context.Background(), store+method, parameters, &out)
	is := ""
	switch e := err.(type) {
	case *varlink.Error:
		is = e.Name
		if raw, ok := e.Parameters.(*json.RawMessage); ok && raw != nil {
			json.Unmarshal(*raw, &carried)
		}
	case *varlink.InvalidParameter:
		is = "org.varlink.service.InvalidParameter"
	}
	check(method+" is refused as "+name, is == name, fmt.Sprintf("got %q: %v", is, err))
	return carried
}

func main() {
	ctx := context.Background()
	address := "unix:/run/pkram/io.pkram.Store"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	var err error
	connection, err = varlink.NewConnection(ctx, address)
	check("connect", err == nil, err)

	var vendor, product, version, url string
	var interfaces []string
	err = connection.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces)
	check("GetInfo", err == nil && product == "pkramd" && strings.Contains(strings.Join(interfaces, " "), "io.pkram.Store"), err)
	text, err := connection.GetInterfaceDescription(ctx, "io.pkram.Store")
	check("GetInterfaceDescription", err == nil && strings.Contains(text, "method RestoreTree("), err)

	// A monitor on a connection of its own: it has to see all that follows.
	watcher, err := varlink.NewConnection(ctx, address)
	check("connect again", err == nil, err)
	next, err := watcher.Send(ctx, store+"Monitor", dict{}, varlink.More)
	check("Monitor", err == nil, err)
	var event struct {
		Event string `json:"event"`
		Name  string `json:"name"`
		Node  *node  `json:"node"`
	}
	_, err = next(ctx, &event)
	check("Monitor is ready", err == nil && event.Event == "ready", event)

	var status struct {
		Supported bool   `json:"supported"`
		Owner     string `json:"owner"`
		Nodes     int    `json:"nodes"`
	}
	call("GetStatus", dict{}, &status)
	check("GetStatus is right", status.Supported && status.Owner != "", status)

	secret := strings.Repeat("Go", 1000)
	data := base64.StdEncoding.EncodeToString([]byte(secret))
	var stored struct {
		ID int64 `json:"id"`
	}
	objects := []dict{{"name": "inline", "data": data}}
	call("Store", dict{"name": "by-go", "objects": objects, "verify": true}, &stored)
	refused("Store", dict{"name": "by-go", "objects": objects}, store+"NodeExists")
	refused("Store", dict{"name": "by/go", "objects": objects}, store+"InvalidName")
	refused("Store", dict{"name": "fd", "objects": []dict{{"fileDescriptor": 0}}}, "org.varlink.service.InvalidParameter")
	refused("StoreTree", dict{"name": "tree", "directory": 0}, "org.varlink.service.InvalidParameter")
	refused("RestoreTree", dict{"name": "by-go", "directory": 0}, "org.varlink.service.InvalidParameter")

	var retrieved struct {
		Verified bool   `json:"verified"`
		Node     node   `json:"node"`
		Objects  []struct {
			Data string `json:"data"`
			Size int    `json:"size"`
		} `json:"objects"`
	}
	call("Retrieve", dict{"name": "by-go", "inline": true}, &retrieved)
	bytes, err := base64.StdEncoding.DecodeString(retrieved.Objects[0].Data)
	check("Retrieve is right", err == nil && string(bytes) == secret && retrieved.Verified && retrieved.Node.ID == stored.ID, retrieved)

	var described struct {
		Node    node   `json:"node"`
		Verify  string `json:"verify"`
		Objects []struct {
			Name     string `json:"name"`
			Checksum string `json:"checksum"`
		} `json:"objects"`
	}
	call("Describe", dict{"name": "by-go"}, &described)
	check("Describe is right", described.Objects[0].Name == "inline" && described.Objects[0].Checksum != "", described)

	var out dict
	err = connection.Call(ctx, store+"List", dict{}, &out)
	check("List without more is refused", err != nil && strings.Contains(err.Error(), "ExpectedMore"), err)
	receive, err := connection.Send(ctx, store+"List", dict{}, varlink.More)
	check("List", err == nil, err)
	found := false
	for {
		var reply struct {
			Node node `json:"node"`
		}
		flags, err := receive(ctx, &reply)
		check("List goes on", err == nil, err)
		found = found || reply.Node.Name == "by-go"
		if flags&varlink.Continues == 0 {
			break
		}
	}
	check("List has the node", found, "it has not")

	var kexec struct {
		Keeps  bool   `json:"keeps"`
		Reason string `json:"reason"`
	}
	call("CheckKexec", dict{}, &kexec)
	check("CheckKexec is right", kexec.Reason != "", kexec)

	call("Release", dict{"name": "by-go", "id": stored.ID}, &out)
	carried := refused("Release", dict{"name": "by-go"}, store+"NoSuchNode")
	check("the error names the node", carried["name"] == "by-go", carried)
	call("Store", dict{"name": "by-go", "objects": objects}, &stored)
	call("Store", dict{"name": "by-go", "objects": objects, "replace": true}, &stored)
	call("Remove", dict{"name": "by-go", "id": stored.ID}, &out)

	for _, wanted := range []string{"stored", "retrieved", "released", "stored", "replaced", "removed"} {
		limit, cancel := context.WithTimeout(ctx, 30*time.Second)
		_, err = next(limit, &event)
		cancel()
		check("Monitor saw "+wanted, err == nil && event.Event == wanted, fmt.Sprint(event, err))
	}
	watcher.Close()
	connection.Close()
	fmt.Println("done")
}
