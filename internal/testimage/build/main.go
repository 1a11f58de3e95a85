// Command build makes test images and prints the paths of their archives, one a line: all of them, or those named.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"podc.example/podc/internal/testimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	images := os.Args[1:]
	if len(images) == 0 {
		images = testimage.All()
	}
	for _, image := range images {
		fmt.Fprintf(os.Stderr, "test image %s\n", image)
		path, err := testimage.Build(ctx, image)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(path)
	}
}
