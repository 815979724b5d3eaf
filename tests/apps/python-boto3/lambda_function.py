import json

import boto3

client = boto3.client("lambda")


def handler(event, context):
    answer = client.invoke(FunctionName=event["callee"], Payload=json.dumps(event["pass"]))
    return {"status": answer["StatusCode"], "version": answer["ExecutedVersion"], "payload": json.load(answer["Payload"]), "boto3": boto3.__version__}
