// The function without a body in giturl.go needs a file of this kind to be allowed.
