// Command gitea is Gitea without its web pages, which nothing here looks at: a Git server as people run it.
package main

import (
	"os"
	"time"

	"code.gitea.io/gitea/cmd"
	"code.gitea.io/gitea/modules/log"
	"code.gitea.io/gitea/modules/setting"
)

const version = "1.26.0"

func main() {
	setting.AppVer = version
	setting.AppStartTime = time.Now().UTC()
	app := cmd.NewMainApp(cmd.AppVersion{Version: version})
	err := cmd.RunMainApp(app, os.Args...)
	// What is queued is lost otherwise.
	log.GetManager().Close()
	if err != nil {
		os.Exit(1)
	}
}
