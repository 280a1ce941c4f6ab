//go:build tools

// Package tools names the program that is built.
package tools

import _ "github.com/pingcap/tidb/cmd/tidb-server"
