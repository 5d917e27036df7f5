// Command oracle answers what the reference implementations print for an input.
//
// It reads one JSON request a line and answers each with one JSON line: {"op": NAME, ...} gives
// {"output": ...} or {"error": TEXT}. Each area has a file of its own that registers its operations here.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
)

// operation answers one request. Its result is marshalled as the response's output.
type operation func(request json.RawMessage) (any, error)

// operations is the dispatch table.
var operations = merge(yamlOperations, standardOperations, semverOperations, kustomizeOperations, gitURLOperations, helmOperations, recordOperations, takeoverOperations, patchOperations, helmBenchOperations, sprigOperations, templateOperations)

type response struct {
	Output any    `json:"output,omitempty"`
	Error  string `json:"error,omitempty"`
	// Panic tells that the reference implementation crashed.
	Panic bool `json:"panic,omitempty"`
}

func main() {
	log.SetFlags(0)
	// Reference libraries print warnings to the log; they are no part of an answer.
	log.SetOutput(io.Discard)
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	reader := bufio.NewReaderSize(in, 1<<20)
	writer := bufio.NewWriter(out)
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			if err := encoder.Encode(answer(line)); err != nil {
				return err
			}
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func answer(line []byte) (res response) {
	defer func() {
		if crash := recover(); crash != nil {
			res = response{Error: fmt.Sprint(crash), Panic: true}
		}
	}()
	var header struct {
		Op string `json:"op"`
	}
	if err := json.Unmarshal(line, &header); err != nil {
		return response{Error: "bad request: " + err.Error()}
	}
	run, known := operations[header.Op]
	if !known {
		return response{Error: "unknown operation " + header.Op}
	}
	output, err := run(line)
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{Output: output}
}

func merge(tables ...map[string]operation) map[string]operation {
	all := map[string]operation{}
	for _, table := range tables {
		for name, run := range table {
			all[name] = run
		}
	}
	return all
}

// typed adapts a function of a concrete request type.
func typed[T any](run func(T) (any, error)) operation {
	return func(raw json.RawMessage) (any, error) {
		var request T
		if err := json.Unmarshal(raw, &request); err != nil {
			return nil, err
		}
		return run(request)
	}
}
