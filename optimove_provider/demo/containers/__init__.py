"""What the service `init` of docker-compose.yaml runs."""
