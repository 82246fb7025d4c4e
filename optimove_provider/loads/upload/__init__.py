"""Files on their way to S3: multipart, prepared and published in two phases. Imports `report` and below, not `plan`."""
