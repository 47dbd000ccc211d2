"""Where everything is put together and a user comes in: the service, the command line, the demonstration."""
