package main

import "github.com/spf13/cobra"

func doctorCmd(*globals) *cobra.Command { return &cobra.Command{Use: "doctor [FILE]"} }
