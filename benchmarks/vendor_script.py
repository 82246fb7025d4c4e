"""The vendor's own script, which `upload.py` and `reliability.py` compare with.

Source: "Walkthrough example for an Upload Data Connection", developer.optimove.com. It is as it stands there, but that
the base URL and the CSV file are arguments, and that types are annotated.

    API_KEY=... BRAND_KEY=... DC_ID=... python benchmarks/vendor_script.py BASE_URL data.csv
"""

import csv
import os
import sys

import requests

API_ENDPOINT = f"{sys.argv[1]}/connections/{os.getenv('DC_ID')}/upload_data"
CSV_FILE_PATH = sys.argv[2]
MAX_BATCH_SIZE = 5000

HEADERS = {"x-api-key": os.getenv("API_KEY"), "x-brand-key": os.getenv("BRAND_KEY")}


def read_csv_data(file_path: str) -> list[dict[str, str]]:
    with open(file_path) as csvfile:
        reader = csv.DictReader(csvfile)
        return [row for row in reader]


def send_batch(batch: list[dict[str, str]]) -> None:
    payload = {
        "data": batch,
        "ttl_seconds": None,  # Optional: data does not expire if null
    }
    response = requests.post(API_ENDPOINT, json=payload, headers=HEADERS)  # noqa: S113 - as it stands there
    if response.status_code == 200:
        print(f"Successfully uploaded batch of {len(batch)} records.")
    else:
        print(f"Failed to upload batch. Status code: {response.status_code}")
        print(f"Response: {response.text}")


def main() -> None:
    data = read_csv_data(CSV_FILE_PATH)
    total_records = len(data)
    batch_size = min(5000, MAX_BATCH_SIZE)
    print(f"Uploading {total_records} records")
    for i in range(0, total_records, batch_size):
        batch = data[i : i + batch_size]
        send_batch(batch)
    print(f"Finished uploading {total_records} records.")


if __name__ == "__main__":
    main()
