// Package internal holds the rooms of the house; ARCHITECTURE.md is their map and imports_test.go the plan of who may
// import whom.
package internal
