package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// readConfig reads a YAML file whose keys are the flags' names, at the top level
// or under their command's name. A key that is no flag is an error.
func readConfig(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		problem, _, _ := strings.Cut(err.Error(), "\n") // below it is an excerpt of the file
		return nil, fmt.Errorf("the configuration file is not understood: %s", problem)
	}
	return configuration(values), nil
}

type configuration map[string]any

// Validate implements kong.Resolver.
func (c configuration) Validate(app *kong.Application) error {
	flags, tables, nodes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		switch node := node.(type) {
		case *kong.Flag:
			flags[node.Name], tables[node.Name] = true, node.IsMap()
		case *kong.Command:
			nodes[node.Name] = true
		}
		return next(nil)
	})
	for key, value := range c {
		section, isSection := value.(map[string]any)
		if !isSection && !flags[key] || isSection && !nodes[key] && !tables[key] {
			return fmt.Errorf("the configuration file has the key %q, which is no flag and no command", key)
		}
		for flag := range section {
			if nodes[key] && !flags[flag] {
				return fmt.Errorf("the configuration file has the key %q under %q, which is no flag", flag, key)
			}
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (c configuration) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for node := ctx.Selected(); node != nil; node = node.Parent {
		if section, ok := c[node.Name].(map[string]any); ok {
			if value, ok := section[flag.Name]; ok {
				return value, nil
			}
		}
	}
	return c[flag.Name], nil
}
